"""``iam-policy``: the least that credentials have to allow."""

from __future__ import annotations

from typing import Annotated

import typer

from glacier_sync.aws.policy import policy
from glacier_sync.cli import output
from glacier_sync.cli.configured import configured
from glacier_sync.errors import ConfigurationError
from glacier_sync.settings import load_intake
from glacier_sync.sync import may_replace

_DEFAULT = "default"


def iam_policy(
    profile: Annotated[
        str | None, typer.Option(help="Only what this credentials profile needs.", show_default=False)
    ] = None,
) -> int:
    """Print the IAM policy that intake.yml and the web images need, and no more.

    The profile "default" is what queues without a profile use, and the web images.

    Example: glacier-sync iam-policy > policy.json
    """
    settings = configured()
    queues = load_intake(settings.intake)
    web = settings.web_parent
    if profile is not None:
        queues = tuple(queue for queue in queues if (queue.profile or _DEFAULT) == profile)
        web = web if profile == _DEFAULT else ""
        if not queues and not web:
            raise ConfigurationError(
                f"no queue of {settings.intake} uses the profile {profile!r}: expected one of its profiles, "
                f"or {_DEFAULT!r} for queues without one and for the web images"
            )
    deletes_web = may_replace(settings.site_config_dir)
    output.print_json(policy(queues, web_parent=web, web_region=settings.web_region, deletes_web=deletes_web))
    return 0
