"""Run by Alembic for each migration, in the transaction that it is handed."""

from __future__ import annotations

from alembic import context

from glacier_sync.ledger.models import Base
from glacier_sync.ledger.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
