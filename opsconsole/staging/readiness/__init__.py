"""Whether an alias is ready for production: every step of the staging kit as a file says, and one verdict.

The steps are functions of what they stand in (`step.Standing`) and of their section of the file (`plan`); each says
what it looked at. What they break, make and spend is theirs alone: keys, projects and aliases that are gone afterwards.
"""
