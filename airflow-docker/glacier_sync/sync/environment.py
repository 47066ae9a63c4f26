"""The environment of the bash task: what ``syncOneWork.sh`` and a site's own scripts rely on."""

from __future__ import annotations

import os
import platform
import pwd
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from glacier_sync import __version__
from glacier_sync.settings import Settings

# boto3 takes these certificates where AWS_CA_BUNDLE names none.
_CERTIFICATES = "REQUESTS_CA_BUNDLE"

# Not the keys themselves: a script's text is shown in logs and on pages.
_AWS_VARIABLES = (
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_CA_BUNDLE",
    _CERTIFICATES,
)
_CREDENTIALS_FILE = "AWS_SHARED_CREDENTIALS_FILE"
_AWS_PREFIX = "AWS_"

PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"})
"""The variables that tell boto3 which proxy to ask, and rclone too."""

_WITH_PASSWORD = re.compile(r"([a-z]\w*://)?.*@(.*)", re.IGNORECASE)


def starting_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a run's bash is started with, before its script exports ``bash_environment``'s.

    Of ``inherited`` only Amazon's are in it, the keys too, and what leads to Amazon: a
    site's own programs are no keepers of the ledger's password. ``SHLVL`` tells bash that
    it isn't the outermost shell, which would read the user's .bashrc where its input is a
    socket.
    """
    known = {*PROXIES, _CERTIFICATES}
    taken = {name: value for name, value in inherited.items() if name.startswith(_AWS_PREFIX) or name in known}
    return {"SHLVL": "1", **taken}


def bash_environment(settings: Settings, stamp: datetime, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a run's bash task.

    ``stamp`` is the run's logical date (aware); it is written in the site's time
    zone. Of ``inherited`` only what is known is taken over: Amazon's variables
    that hold no secret, the proxies without their passwords, ``HOME``, ``DEBUG_SYNC``,
    and the versions of a site's own ``log_dip`` and audit tool. Beside the names that
    sites know, it tells the script ``archiveParent``, ``archiveMarker``, ``webParent``
    and ``successWorkList``.
    """
    local = stamp.astimezone(ZoneInfo(settings.time_zone))
    date, time = local.strftime("%Y-%m-%d"), local.strftime("%H.%M.%S")
    sync_logs = settings.log_dir / "sync-logs" / date / f"{date}_{time}"
    return {
        "PATH": _path(settings),
        "HOME": inherited.get("HOME") or str(settings.home),
        "LANG": "C.UTF-8",
        "TZ": settings.time_zone,
        "hostName": platform.node(),
        "userName": _user_name(),
        "jobDateTime": f"{date}_{time}",
        "jobDate": date,
        "jobTime": time,
        "syncLogDateTimeDir": str(sync_logs),
        "syncLogDateTimeFile": str(sync_logs / f"sync-{date}_{time}.log"),
        "syncLogTempDir": str(sync_logs / "tempFiles"),
        "auditToolLogDateTimeDir": str(settings.log_dir / "audit-test-logs" / date / f"{date}_{time}"),
        "logDipVersion": inherited.get("logDipVersion") or __version__,
        "auditToolVersion": inherited.get("auditToolVersion") or __version__,
        "DB_CONFIG": settings.db_config,
        "DEBUG_SYNC": inherited.get("DEBUG_SYNC", ""),
        "archiveParent": str(settings.archive_parent),
        "archiveMarker": settings.archive_marker,
        "webParent": settings.web_parent,
        "successWorkList": str(sync_logs / "success-works.txt"),
        **_aws(inherited),
        **{name: _WITH_PASSWORD.sub(r"\1\2", inherited[name]) for name in sorted(PROXIES) if inherited.get(name)},
    }


def _path(settings: Settings) -> str:
    return ":".join([str(settings.bin_dir), str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _aws(inherited: Mapping[str, str]) -> dict[str, str]:
    found = {name: inherited[name] for name in _AWS_VARIABLES if inherited.get(name)}
    credentials = inherited.get(_CREDENTIALS_FILE)
    if credentials and Path(credentials).is_file():
        found[_CREDENTIALS_FILE] = credentials
    return found
