"""The first schema."""

import sqlalchemy as sa
from alembic import op

from keyvault.storage.schema import epochs, metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection)
    connection.execute(sa.insert(epochs).values(id=1))
