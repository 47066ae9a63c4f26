"""The commands by name. The module of one is imported when it is called, not to list them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from glacier_sync.cli.interrupts import ended_by_ctrl_c

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

# Each command's name, its module in glacier_sync.cli with a function of that name (with
# underscores), and the first line of its help.
_COMMANDS = (
    ("verify", "bag_commands", "Check bags, directories or zips, without unpacking: every defect found is listed."),
    ("unbag", "bag_commands", "Unpack zipped bags, verified; print the works with their paths."),
    ("bag", "making_command", "Make a zipped bag of each work: <Work>.bag.zip; print the works with their zips."),
    ("audit", "audit_command", "Audit works as a sync does, by the same audit tool with the site's options."),
    ("sync", "sync_commands", "Audit and sync unpacked works into the archive, as the DAG does."),
    ("fixity", "sync_commands", "Compare archived works with their bags' manifests; every difference is listed."),
    ("diff", "sync_commands", "Compare unpacked works with what the archive has in their place, and change nothing."),
    ("sync-options", "sync_commands", "Print the options of audit and sync, and where each comes from."),
    ("run", "pipeline_commands", "Run the whole pipeline once, without Airflow."),
    ("status", "status_command", "Tell where works stand, and why."),
    ("iam-policy", "policy_command", "Print the IAM policy that intake.yml and the web images need, and no more."),
    ("retry", "attempt_commands", "Try anew what has failed: the next run takes it up from the download on."),
    ("forget", "attempt_commands", "Take what is hopeless off the list of what is to be done; its history stays."),
    ("emulator", "emulator_command", "Serve S3, SQS and restores on this machine, for the demo and for tests."),
)


class DeferredCommand(TyperCommand):
    """A command that is listed by its name and one line, and loaded when it is called."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self._name = name
        self._module = module

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command's arguments, for the command itself and no longer for this one."""
        return self.load().make_context(*arguments, **options)

    def load(self) -> TyperCommand:
        """Return the command itself."""
        with ended_by_ctrl_c():
            module = import_module(f"glacier_sync.cli.{self._module}")
        function = getattr(module, self._name.replace("-", "_"))
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP_OPTIONS)
        alone.command(self._name)(function)
        command = get_command(alone)
        assert isinstance(command, TyperCommand)
        return command


def commands() -> list[DeferredCommand]:
    """Return all commands in the order in which they are listed."""
    return [DeferredCommand(*command) for command in _COMMANDS]
