"""Tenant isolation: what a project stored at a provider is seen, named, changed and deleted by its own keys alone.

`naming` finds every id that a request names; `claim` decides whether they are the caller's and where the request must
go; `answers` records what an answer made and hides what is not the caller's; `settling` books work that ends later.
"""
