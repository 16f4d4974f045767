"""What a person can do from the console, one module for each noun; `deed` says what a deed is."""
