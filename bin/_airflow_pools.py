"""Print the pools and their sizes, which are settings, as ``airflow pools import`` reads them."""

import json
import sys

from glacier_sync.errors import ConfigurationError
from glacier_sync.settings import load_settings


def pools() -> dict[str, dict[str, object]]:
    """Return the pools that limit what runs at once on this machine."""
    return {
        name: {"slots": slots, "description": f"GLACIER_SYNC_MAX_{name.upper()} at once on this machine"}
        for name, slots in load_settings().pools.items()
    }


if __name__ == "__main__":
    try:
        print(json.dumps(pools(), indent=4, sort_keys=True))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
