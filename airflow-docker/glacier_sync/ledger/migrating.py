"""Running the migrations, by Alembic."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version, in the connection's transaction."""
    config = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def scripts() -> Config:
    """Return where Alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", "glacier_sync.ledger:migrations")
    return config
