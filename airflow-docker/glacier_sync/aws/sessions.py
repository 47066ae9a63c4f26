"""Clients of Amazon's services, by credentials profile.

Amazon's own variables (``AWS_ENDPOINT_URL…``, ``AWS_CA_BUNDLE``,
``AWS_MAX_ATTEMPTS``, …) are honoured because boto3 honours them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ProfileNotFound

from glacier_sync.aws.errors import CredentialsError
from glacier_sync.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONNECT_SECONDS = 10
# Longer than SQS's longest poll, 20 s.
_READ_SECONDS = 60
_CONNECTIONS = 64
_METHODS_BESIDE_A_PROFILE = frozenset({"env", "iam-role", "container-role"})


def s3_client(region: str, profile: str | None) -> S3Client:
    """Return a client of S3; raises ConfigurationError as ``sqs_client`` does."""
    session = _session(region, profile)
    try:
        return session.client("s3", config=_config())
    except (BotoCoreError, ValueError) as error:
        raise _wrong_configuration(error) from error


def sqs_client(region: str, profile: str | None) -> SQSClient:
    """Return a client of SQS, with a profile's credentials or boto3's default ones.

    Raises CredentialsError if the profile doesn't exist or there are no
    credentials, ConfigurationError for an endpoint that is no URL.
    """
    session = _session(region, profile)
    try:
        return session.client("sqs", config=_config())
    except (BotoCoreError, ValueError) as error:
        raise _wrong_configuration(error) from error


def _config() -> Config:
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard"},
        # Downloads are verified as a whole by our own means, whatever the ranges.
        response_checksum_validation="when_required",
    )


def _session(region: str, profile: str | None) -> boto3.Session:
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        credentials = session.get_credentials()
    except ProfileNotFound as error:
        raise CredentialsError(
            f"the credentials profile {error.kwargs['profile']!r} doesn't exist in {_files()}; "
            "add it there, or correct the profile in intake.yml (or AWS_PROFILE)",
            cause=str(error),
        ) from error
    except BotoCoreError as error:
        reason = " ".join(str(error).split())
        raise CredentialsError(
            f"{_named(profile)} can't be used: {reason}; correct {_files()}, or Amazon's variables (AWS_…)",
            cause=type(error).__name__,
        ) from error
    # botocore goes on to the machine's own role when a profile is empty: never in silence.
    if credentials is None or (profile and credentials.method in _METHODS_BESIDE_A_PROFILE):
        raise CredentialsError(
            f"{_named(profile)} has no credentials; add aws_access_key_id and aws_secret_access_key to {_files()}, "
            "or log in"
        )
    return session


def _named(profile: str | None) -> str:
    return f"the credentials profile {profile!r}" if profile else "boto3's default chain (no profile is set)"


def _files() -> str:
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    config = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    return f"{Path(credentials).expanduser()} or {Path(config).expanduser()}"


def _wrong_configuration(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"boto3 can't be configured: {' '.join(str(error).split())}; correct Amazon's variables (AWS_…) or the region",
        cause=type(error).__name__,
    )
