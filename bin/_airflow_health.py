"""Tell by the exit status if one of Airflow's services is well: ``PORT NAME SINCE``.

A heartbeat counts if it is not older than SINCE, in seconds since 1970: what a service
has left in the database before it was killed looks healthy for half a minute. Needs the
standard library only, so that it can be asked twice a second.
"""

import json
import sys
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection, HTTPException

_KEYS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


def is_well(port: int, name: str, since: float) -> bool:
    """Ask the api-server, which is well itself if it answers and reaches the database."""
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/api/v2/monitor/health")
            body = json.load(connection.getresponse())
        if name == "api-server":
            return bool(body["metadatabase"]["status"] == "healthy")
        service = body[_KEYS[name]]
        heartbeat = datetime.fromisoformat(service[f"latest_{_KEYS[name]}_heartbeat"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return False
    return service["status"] == "healthy" and heartbeat.timestamp() >= since


if __name__ == "__main__":
    sys.exit(not is_well(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
