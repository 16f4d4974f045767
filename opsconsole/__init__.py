"""Everything a person or a script touches: `gwctl`, the console, the staging kit."""
