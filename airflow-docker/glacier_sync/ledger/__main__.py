"""``python -m glacier_sync.ledger``: the migration, for operators and the appliance's start."""

from __future__ import annotations

import sys

from glacier_sync.errors import GlacierSyncError
from glacier_sync.ledger import Ledger
from glacier_sync.settings import load_settings


def main() -> int:
    """Bring the ledger's tables to this program's version and return the exit status."""
    try:
        with Ledger.from_settings(load_settings()) as ledger:
            ledger.migrate()
    except GlacierSyncError as error:
        print(f"{error.message}{f' ({error.cause})' if error.cause else ''}", file=sys.stderr)
        return error.exit_status
    print("the ledger's tables are of this program's version")
    return 0


if __name__ == "__main__":
    sys.exit(main())
