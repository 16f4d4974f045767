"""The only place that speaks SQL: schema, engine, migrations, one repository module per aggregate.

Repositories are modules of functions that take an open `Transaction` and return domain values. Services above open
the transaction (`Database.read`, `Database.write`), so that a change, its audit entry and its epoch commit together.
"""
