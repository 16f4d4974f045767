"""What the tables are made of: the kinds of column, and the columns that many tables have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Ms = BigInteger
Pico = BigInteger
Id = BigInteger().with_variant(Integer, "sqlite")


def row_id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def vouched() -> tuple[Column[int], Column[bytes]]:
    """The columns of a row that the vault vouches for: its version, and a MAC over what `storage.seals` says counts."""
    return Column("version", BigInteger, nullable=False, server_default="1"), Column("seal", LargeBinary)
