"""The audit tool: checks a work's files before and after a sync, and reports what it found.

For programs: `audit_work` audits, `write_report` and `find_report` keep and find a
work's report, `summary` puts it into one line, `finding_lines` and `print_table`
tell it to a person. Pillow is imported by none of them: `ImageReaders` are
processes of their own.
"""

from glacier_sync.audit.catalog import CATALOG, AuditTest, UnknownTestsError, select
from glacier_sync.audit.error_numbers import ErrorNumber
from glacier_sync.audit.image_readers import ImageReaders
from glacier_sync.audit.logs import ReportNotWrittenError, write_report
from glacier_sync.audit.presentation import finding_lines, print_table
from glacier_sync.audit.properties import InvalidPropertyError, Properties
from glacier_sync.audit.report import Finding, Outcome, TestResult, WorkReport, summary
from glacier_sync.audit.report_files import UnreadableReportError, find_report, read_report
from glacier_sync.audit.runner import audit_work

__all__ = [
    "CATALOG",
    "AuditTest",
    "ErrorNumber",
    "Finding",
    "ImageReaders",
    "InvalidPropertyError",
    "Outcome",
    "Properties",
    "ReportNotWrittenError",
    "TestResult",
    "UnknownTestsError",
    "UnreadableReportError",
    "WorkReport",
    "audit_work",
    "find_report",
    "finding_lines",
    "print_table",
    "read_report",
    "select",
    "summary",
    "write_report",
]
