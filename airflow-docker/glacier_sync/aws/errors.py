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


class RequestRefusedError(GlacierSyncError):
    """Neither known to pass nor to be permanent: the service refused a request for a reason that isn't listed here."""


class RequestNotSentError(GlacierSyncError):
    """Neither known to pass nor to be permanent: what sends requests failed in itself."""


class NoSpaceError(NoRoomError):
    """The disk is full."""


class CorruptDownloadError(GlacierSyncError):
    """What arrived isn't what the service says the object is: on its way, which passes, or where it is kept."""


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
        "Busy",
        "EC2ThrottledException",
        "GlacierExpeditedRetrievalNotAvailable",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMS.DependencyTimeoutException",
        "KMS.KMSInternalException",
        "KMS.KeyUnavailableException",
        "KMS.LimitExceededException",
        "KMS.ThrottlingException",
        "KmsThrottled",
        "LimitExceededException",
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
        "TemporaryRedirect",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
# A bucket that isn't known everywhere yet, too slow a request, too many of them.
_TRANSIENT_STATUSES = frozenset({307, 408, 429})
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
        "KMS.AccessDeniedException",
        "KmsAccessDenied",
        "UnauthorizedOperation",
    }
)
_ACCOUNT_CODES = frozenset({"AccountProblem", "AllAccessDisabled", "InvalidPayer", "NotSignedUp", "OptInRequired"})
_REGION_CODES = frozenset(
    {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)
_MISSING_QUEUE_CODES = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_MISSING_BUCKET_CODES = frozenset({"NoSuchBucket"})
_MISSING_OBJECT_CODES = frozenset({"404", "405", "MethodNotAllowed", "NoSuchKey", "NoSuchVersion"})
_REPLACED_CODES = frozenset({"412", "PreconditionFailed"})
# The key service's own codes come with its name before them, in S3's spelling or in SQS's.
_KEY_SERVICE = "kms"
_UNKNOWN_REFUSAL = "Amazon refuses the request; see the cause, mend it, then retry"

_REFUSALS: tuple[tuple[frozenset[str], type[GlacierSyncError], str], ...] = (
    (
        _CREDENTIALS_CODES,
        CredentialsError,
        "Amazon doesn't accept {request.credentials}; renew or correct them",
    ),
    (
        _DENIED_CODES,
        AccessDeniedError,
        "access is denied to {request.credentials}; grant {request.needs}",
    ),
    (
        _UNTOLD_CODES,
        ConfigurationError,
        "Amazon doesn't say why: the credentials ({request.credentials}) have expired, or the region "
        "({request.region}) is wrong; renew or correct them",
    ),
    (
        _UNTOLD_DENIED_CODES,
        AccessDeniedError,
        "access is denied to {request.credentials}; grant {request.needs}, or, as Amazon doesn't say why, "
        "correct the credentials' keys or set this machine's clock right",
    ),
    (
        frozenset({_KEY_SERVICE}),
        ConfigurationError,
        "Amazon can't use the KMS key that encrypts it; enable or restore that key",
    ),
    (
        _ACCOUNT_CODES,
        ConfigurationError,
        "Amazon serves the account of {request.credentials}, or the owner's, no more or not in {request.region}; "
        "see the cause, and settle it with Amazon",
    ),
    (
        _REGION_CODES,
        ConfigurationError,
        "the bucket is in another region than {request.region}; correct the region in intake.yml "
        "(and AWS_ENDPOINT_URL, if set)",
    ),
    (
        _MISSING_BUCKET_CODES,
        ConfigurationError,
        "there is no such bucket for {request.credentials}; "
        "create or restore it, or correct queue and profile in intake.yml",
    ),
    (
        _MISSING_QUEUE_CODES,
        QueueUnavailableError,
        "there is no such queue in {request.region} for {request.credentials}; "
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
)
"""The errors by Amazon's codes, with what to do in a request's words."""

_BY_CODE = {code: (kind, advice) for codes, kind, advice in _REFUSALS for code in codes}

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

    What passes, what an operator can mend and what is permanent are lists, from
    Amazon's: S3 API Reference, "Error responses"; SQS and KMS, "Common errors".
    Of anything else nothing is known.
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
    if code in _TRANSIENT_CODES or status in _TRANSIENT_STATUSES or status >= 500 or code.startswith("5"):
        hint = "set this machine's clock right" if code == "RequestTimeTooSkewed" else "try again later"
        return ServiceUnavailableError(f"can't {request.doing} for now: Amazon answers {code}; {hint}", cause=cause)
    if code not in _BY_CODE and code.lower().startswith(_KEY_SERVICE):
        code = _KEY_SERVICE
    kind, advice = _BY_CODE.get(code, (RequestRefusedError, _UNKNOWN_REFUSAL))
    return kind(f"can't {request.doing}: {advice.format(request=request)}", cause=cause)
