"""Where a request goes: routes, their revisions, and the planner."""
