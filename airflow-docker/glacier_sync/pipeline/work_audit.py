"""Auditing works that are named by hand, by the audit tool and with the options that a sync has."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from glacier_sync import audit
from glacier_sync.errors import ConfigurationError
from glacier_sync.ledger import Ledger, Run
from glacier_sync.settings import Settings, inherited_variables
from glacier_sync.sync import bash_environment, load_options
from glacier_sync.works import FOLDERS_IN_WORDS, archive_path, given_rid, is_work

_AUDIT_TOOL = "audit-tool"


class AuditNotDoneError(ConfigurationError):
    """The audit tool isn't there, or ended without a work's report."""


@dataclass(frozen=True)
class WorkAudit:
    """What an audit found, and the file that has all of it."""

    report: audit.WorkReport
    log: Path


def audit_by_hand(settings: Settings, ledger: Ledger, work: str, stamp: datetime) -> WorkAudit:
    """Audit a work, named by its RID (in the archive) or by a path, and record it in the ledger.

    The archive's copy is audited with the options for after archiving, any other
    work with those for before. Raises ConfigurationError if there is no such
    work, WorkOptionsError, AuditNotDoneError.
    """
    folder = _folder(settings, work)
    options = load_options(folder, settings.site_config_dir)
    is_archived = folder == archive_path(settings.archive_parent, folder.name)
    done = _audit(settings, folder, options.audit_post if is_archived else options.audit_pre, stamp)
    ledger.remark(
        folder.name,
        Run.by_hand(),
        f"audited by hand: {folder} {audit.summary(done.report)}",
        {"outcome": done.report.outcome, "report": str(done.log)},
    )
    return done


def _folder(settings: Settings, work: str) -> Path:
    if "/" in work:
        named = Path(os.path.abspath(work))  # noqa: PTH100 - the work is named as the path is, not as what it links to
        given_rid(named.name)
    else:
        named = archive_path(settings.archive_parent, given_rid(work))
    if not named.is_dir() or not is_work(named):
        raise ConfigurationError(
            f"{named} isn't a work: expected a directory that has {FOLDERS_IN_WORDS}; "
            "name an archived work by its RID, any other by its path"
        )
    return named


def _audit(settings: Settings, folder: Path, options: Sequence[str], stamp: datetime) -> WorkAudit:
    environment = {**inherited_variables(), **bash_environment(settings, stamp, inherited_variables())}
    tool = shutil.which(_AUDIT_TOOL, path=environment["PATH"])
    if tool is None:
        raise AuditNotDoneError(
            f"the command {_AUDIT_TOOL} isn't on PATH ({environment['PATH']}): expected Glacier Sync's own or the "
            "site's; install it"
        )
    log_home = _made(Path(environment["auditToolLogDateTimeDir"]))
    started = datetime.now(UTC)
    done = subprocess.run(
        [tool, "-l", log_home, *options, folder],
        env=environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    log = audit.find_report(log_home, folder.name, started)
    report = audit.read_report(log) if log else None
    if log is None or report is None or (done.returncode and not report.failed):
        *_, last_line = ["", *done.stderr.split("\n")[:-1]]
        raise AuditNotDoneError(
            f"{tool} ended with exit status {done.returncode} and no whole report of {folder.name}: expected one in "
            f"{log_home}; correct what it says: {last_line}",
            cause=done.stderr[-2000:],
        )
    return WorkAudit(report, log)


def _made(log_home: Path) -> Path:
    try:
        log_home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AuditNotDoneError(
            f"{log_home} can't be made ({error.strerror}): expected a log folder that this user may write to; "
            "correct GLACIER_SYNC_LOG_DIR",
            cause=str(error),
        ) from error
    return log_home
