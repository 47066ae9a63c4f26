"""``python -m glacier_sync.demo prepare|follow``: what ``local-airflow.sh demo`` calls."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer

from glacier_sync.demo import follow as following
from glacier_sync.demo import prepare as preparing
from glacier_sync.errors import GlacierSyncError
from glacier_sync.settings import load_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def prepare() -> int:
    """Make the samples, store them as archived objects in the emulator, and request their restore."""
    preparing.prepare(load_settings())
    return 0


@app.command()
def follow(
    airflow: Annotated[str, typer.Option(help="The URL of Airflow's API server.")],
    user: Annotated[str, typer.Option(help="Who starts the DAG.")],
    password_file: Annotated[typer.FileText, typer.Option(help="The file with that user's password.")],
    minutes: Annotated[float, typer.Option(help="How long to wait at most.")] = 10,
) -> int:
    """Start the DAG, follow it until every sample is synced or failed, and tell where each stands."""
    following.start_run(airflow, user, password_file.read().strip())
    return following.follow(load_settings(), timedelta(minutes=minutes))


if __name__ == "__main__":
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except GlacierSyncError as error:
        typer.echo(f"demo: {error.message}", err=True)
        sys.exit(error.exit_status)
    except typer.TyperException as error:
        typer.echo(f"demo: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
