"""What can go wrong with Amazon's services, in our own tree and in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from glacier_sync.errors import ConfigurationError, GlacierSyncError, NoRoomError, PermanentError, TransientError


class CredentialsError(ConfigurationError):
    """No credentials, a profile that doesn't exist, or credentials that aren't accepted."""


class AccessDeniedError(ConfigurationError):
    """The credentials are accepted, and lack a permission."""


class ServiceUnavailableError(TransientError):
    """A listed cause that passes: throttling, an error of the service, the network."""


class QueueUnavailableError(TransientError):
    """There is no such queue (any more, or yet)."""


class QueueRefusedError(TransientError):
    """The queue didn't do what it was asked for some of the messages."""


class ObjectMissingError(PermanentError):
    """The bucket has no such object or version."""


class ObjectReplacedError(PermanentError):
    """The key holds another object than the one that was announced."""


class RestoreExpiredError(PermanentError):
    """The object is archived and has no restored copy (any more)."""


class NotArchivedError(PermanentError):
    """A restore was asked for an object that isn't archived."""


class RequestRefusedError(PermanentError):
    """The service refused a request for a reason that trying again won't mend."""


class RequestNotSentError(GlacierSyncError):
    """Neither known to pass nor to be permanent: what sends requests failed in itself."""


class NoSpaceError(NoRoomError):
    """The disk is full."""


class CorruptDownloadError(TransientError):
    """What arrived isn't what the service says the object is."""


class DownloadInProgressError(TransientError):
    """Another process is downloading to the same place."""


@dataclass(frozen=True)
class Request:
    """A request in an error message's words.

    ``doing`` is what is tried ("read s3://bucket/key"), ``needs`` the
    permissions that it takes.
    """

    doing: str
    needs: str
    region: str
    profile: str | None

    @property
    def credentials(self) -> str:
        """Whose credentials the request is made with."""
        return f"profile {self.profile!r}" if self.profile else "boto3's default credentials"


_TRANSIENT_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "GlacierExpeditedRetrievalNotAvailable",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMS.ThrottlingException",
        "OperationAborted",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_CREDENTIALS_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
# An answer to HEAD has no body: its status is all that is known of the cause.
_UNTOLD_CODES = frozenset({"400"})
_UNTOLD_DENIED_CODES = frozenset({"403"})
_DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AllAccessDisabled",
        "KMS.AccessDeniedException",
        "UnauthorizedOperation",
    }
)
_MISSING_QUEUE_CODES = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_MISSING_OBJECT_CODES = frozenset({"404", "405", "MethodNotAllowed", "NoSuchBucket", "NoSuchKey", "NoSuchVersion"})
_REPLACED_CODES = frozenset({"412", "PreconditionFailed"})
_UNKNOWN_REFUSAL = "Amazon refuses the request; see the cause, mend it, then retry"

_CREDENTIALS_ERRORS = (
    boto.CredentialRetrievalError,
    boto.InvalidConfigError,
    boto.LoginError,
    boto.NoAuthTokenError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.RefreshWithMFAUnsupportedError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.UnknownCredentialError,
)
_NETWORK_ERRORS = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ReadTimeoutError,
    boto.ResponseStreamingError,
)


@contextmanager
def translated(request: Request) -> Iterator[None]:
    """Raise what botocore raises inside as our own errors."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise translate(error, request) from error


def translate(error: ClientError | BotoCoreError, request: Request) -> GlacierSyncError:
    """Return the error of our tree for one of botocore's.

    What passes is an allow-list: throttling, errors 5xx, connections,
    timeouts, a clock that is wrong. Everything else is configuration or
    permanent, but for what boto3 itself doesn't know.
    """
    if isinstance(error, ClientError):
        return _refused(error, request)
    cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, _CREDENTIALS_ERRORS):
        return CredentialsError(
            f"can't {request.doing}: {request.credentials} gave no usable credentials; "
            "correct the credentials file or log in again",
            cause=cause,
        )
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ConfigurationError(
            f"can't {request.doing}: the service's certificate isn't trusted; "
            "set AWS_CA_BUNDLE to the certificate authority of your network",
            cause=cause,
        )
    if type(error) is boto.HTTPClientError and not isinstance(error.kwargs.get("error"), OSError):
        return RequestNotSentError(
            f"can't {request.doing}: boto3 failed with the request itself; look for what is strange in the names",
            cause=cause,
        )
    if isinstance(error, _NETWORK_ERRORS):
        return ServiceUnavailableError(
            f"can't {request.doing} for now: the service in {request.region} doesn't answer, or broke off; "
            "check the network (and AWS_ENDPOINT_URL, if set), or try again later",
            cause=cause,
        )
    return ConfigurationError(
        f"can't {request.doing}: boto3 finds the request or its configuration wrong; "
        "check the names, the region and Amazon's variables (AWS_…)",
        cause=cause,
    )


def _refused(error: ClientError, request: Request) -> GlacierSyncError:
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    cause = f"{error.operation_name}: {code} (HTTP {status}): {' '.join(str(answer.get('Message', '')).split())}"
    if code in _TRANSIENT_CODES or status >= 500 or code.startswith("5"):
        hint = "set this machine's clock right" if code == "RequestTimeTooSkewed" else "try again later"
        return ServiceUnavailableError(f"can't {request.doing} for now: Amazon answers {code}; {hint}", cause=cause)
    kind, advice = _known_refusals(request).get(code, (RequestRefusedError, _UNKNOWN_REFUSAL))
    return kind(f"can't {request.doing}: {advice}", cause=cause)


def _known_refusals(request: Request) -> dict[str, tuple[type[GlacierSyncError], str]]:
    """Return the errors by Amazon's codes, with what to do."""
    families: list[tuple[frozenset[str], type[GlacierSyncError], str]] = [
        (
            _CREDENTIALS_CODES,
            CredentialsError,
            f"Amazon doesn't accept {request.credentials}; renew or correct them",
        ),
        (
            _DENIED_CODES,
            AccessDeniedError,
            f"access is denied to {request.credentials}; grant {request.needs}",
        ),
        (
            _UNTOLD_CODES,
            ConfigurationError,
            f"Amazon doesn't say why: the credentials ({request.credentials}) have expired, or the region "
            f"({request.region}) is wrong; renew or correct them",
        ),
        (
            _UNTOLD_DENIED_CODES,
            AccessDeniedError,
            f"access is denied to {request.credentials}; grant {request.needs}, or, as Amazon doesn't say why, "
            "correct the credentials' keys or set this machine's clock right",
        ),
        (
            _MISSING_QUEUE_CODES,
            QueueUnavailableError,
            f"there is no such queue in {request.region} for {request.credentials}; "
            "correct queue, region or profile in intake.yml, or create the queue",
        ),
        (
            _MISSING_OBJECT_CODES,
            ObjectMissingError,
            "there is no such object: it was deleted or renamed since it was announced; upload it again",
        ),
        (
            _REPLACED_CODES,
            ObjectReplacedError,
            "it was replaced since it was announced, its ETag is another; request the restore of the new object",
        ),
        (
            frozenset({"InvalidObjectState"}),
            RestoreExpiredError,
            "it is archived and has no restored copy, or the copy has expired; request its restore, then retry",
        ),
    ]
    return {code: (kind, advice) for codes, kind, advice in families for code in codes}
