"""The Routes view: which targets serve which model name, how each is, and what the revisions changed."""
