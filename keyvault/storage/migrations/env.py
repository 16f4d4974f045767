"""Alembic's entry point: runs the steps on the connection handed over by `upgrade`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
