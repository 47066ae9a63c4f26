import re
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from glacier_sync import aws
from glacier_sync.aws.errors import Request, RequestNotSentError, translate
from glacier_sync.errors import ConfigurationError, GlacierSyncError, PermanentError, TransientError

REQUEST = Request("download s3://nlm/W1.zip", "s3:GetObject", "ap-northeast-2", "nlm")


def refusal(code: str, status: int) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "in Amazon's\nwords"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "GetObject")


@pytest.mark.parametrize(
    ("code", "status", "kind", "advice"),
    [
        ("SlowDown", 503, aws.ServiceUnavailableError, "try again later"),
        ("Throttling", 400, aws.ServiceUnavailableError, "try again later"),
        ("RequestTimeout", 400, aws.ServiceUnavailableError, "try again later"),
        ("RequestTimeTooSkewed", 403, aws.ServiceUnavailableError, "set this machine's clock right"),
        ("NeverHeardOf", 500, aws.ServiceUnavailableError, "try again later"),
        ("503", 503, aws.ServiceUnavailableError, "try again later"),
        ("AccessDenied", 403, aws.AccessDeniedError, "denied to profile 'nlm'; grant s3:GetObject"),
        ("403", 403, aws.AccessDeniedError, "grant s3:GetObject, .* or set this machine's clock right"),
        ("400", 400, ConfigurationError, r"\(profile 'nlm'\) have expired, or the region"),
        ("InvalidAccessKeyId", 403, aws.CredentialsError, "doesn't accept profile 'nlm'; renew or correct"),
        ("ExpiredToken", 400, aws.CredentialsError, "doesn't accept profile 'nlm'; renew or correct"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, aws.QueueUnavailableError, "no such queue in ap-northeast-2"),
        ("QueueDoesNotExist", 400, aws.QueueUnavailableError, "correct queue, region or profile in intake.yml"),
        ("NoSuchKey", 404, aws.ObjectMissingError, "upload it again"),
        ("404", 404, aws.ObjectMissingError, "upload it again"),
        ("NoSuchVersion", 404, aws.ObjectMissingError, "upload it again"),
        ("NoSuchBucket", 404, ConfigurationError, "no such bucket for profile 'nlm'; create or restore it"),
        ("PreconditionFailed", 412, aws.ObjectReplacedError, "request the restore of the new object"),
        ("InvalidObjectState", 403, aws.RestoreExpiredError, "request its restore, then retry"),
        ("412", 412, aws.ObjectReplacedError, "request the restore of the new object"),
        ("Busy", 400, aws.ServiceUnavailableError, "try again later"),
        ("LimitExceededException", 400, aws.ServiceUnavailableError, "try again later"),
        ("TooManyRequests", 400, aws.ServiceUnavailableError, "try again later"),
        ("NeverHeardOf", 429, aws.ServiceUnavailableError, "try again later"),
        ("429", 429, aws.ServiceUnavailableError, "try again later"),
        ("TemporaryRedirect", 307, aws.ServiceUnavailableError, "try again later"),
        ("KMS.ThrottlingException", 400, aws.ServiceUnavailableError, "try again later"),
        ("KMS.LimitExceededException", 400, aws.ServiceUnavailableError, "try again later"),
        ("KmsThrottled", 400, aws.ServiceUnavailableError, "try again later"),
        ("KMS.DisabledException", 400, ConfigurationError, "enable or restore that key"),
        ("KMS.KMSInvalidStateException", 400, ConfigurationError, "enable or restore that key"),
        ("KMS.NotFoundException", 400, ConfigurationError, "enable or restore that key"),
        ("KmsDisabled", 400, ConfigurationError, "enable or restore that key"),
        ("KMS.AccessDeniedException", 400, aws.AccessDeniedError, "grant s3:GetObject"),
        ("OptInRequired", 403, ConfigurationError, "not in ap-northeast-2; see the cause, and settle it with Amazon"),
        ("NotSignedUp", 403, ConfigurationError, "settle it with Amazon"),
        ("InvalidPayer", 403, ConfigurationError, "settle it with Amazon"),
        ("AllAccessDisabled", 403, ConfigurationError, "settle it with Amazon"),
        ("AccountProblem", 403, ConfigurationError, "settle it with Amazon"),
        ("AuthorizationHeaderMalformed", 400, ConfigurationError, "in another region than ap-northeast-2; correct"),
        ("PermanentRedirect", 301, ConfigurationError, "in another region than ap-northeast-2; correct"),
        ("301", 301, ConfigurationError, "in another region than ap-northeast-2; correct"),
        ("InvalidArgument", 400, aws.RequestRefusedError, "see the cause, mend it"),
        ("NeverHeardOf", 409, aws.RequestRefusedError, "see the cause, mend it"),
    ],
)
def test_every_refusal_has_its_class_and_says_what_to_do(
    code: str, status: int, kind: type[GlacierSyncError], advice: str
) -> None:
    error = translate(refusal(code, status), REQUEST)
    assert type(error) is kind
    assert error.message.startswith("can't download s3://nlm/W1.zip")
    assert re.search(advice, error.message)
    assert error.cause == f"GetObject: {code} (HTTP {status}): in Amazon's words"


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (boto.EndpointConnectionError(endpoint_url="u"), aws.ServiceUnavailableError, "check the network"),
        (boto.ConnectTimeoutError(endpoint_url="u"), aws.ServiceUnavailableError, "check the network"),
        (boto.ReadTimeoutError(endpoint_url="u"), aws.ServiceUnavailableError, "check the network"),
        (boto.ConnectionClosedError(endpoint_url="u"), aws.ServiceUnavailableError, "check the network"),
        (boto.SSLError(endpoint_url="u", error="EOF"), aws.ServiceUnavailableError, "check the network"),
        (boto.SSLError(endpoint_url="u", error="CERTIFICATE_VERIFY_FAILED"), ConfigurationError, "set AWS_CA_BUNDLE"),
        (boto.HTTPClientError(error=OSError("too many open files")), aws.ServiceUnavailableError, "check the network"),
        (
            boto.HTTPClientError(error=ValueError("Invalid header value")),
            RequestNotSentError,
            "failed with the request",
        ),
        (boto.NoCredentialsError(), aws.CredentialsError, "correct the credentials file or log in again"),
        (boto.UnauthorizedSSOTokenError(), aws.CredentialsError, "log in again"),
        (boto.ParamValidationError(report="Invalid bucket name"), ConfigurationError, "check the names"),
    ],
)
def test_what_boto_itself_raises(error: BotoCoreError, kind: type[GlacierSyncError], advice: str) -> None:
    ours = translate(error, REQUEST)
    assert type(ours) is kind
    assert re.search(advice, ours.message)
    assert ours.cause.startswith(type(error).__name__)


def test_the_branches_decide_what_happens_next() -> None:
    later = (aws.ServiceUnavailableError, aws.QueueUnavailableError, aws.NoSpaceError)
    never = (aws.ObjectMissingError, aws.ObjectReplacedError, aws.RestoreExpiredError, aws.NotArchivedError)
    wrong = (aws.CredentialsError, aws.AccessDeniedError)
    unknown = (aws.RequestRefusedError, RequestNotSentError, aws.CorruptDownloadError)
    assert all(issubclass(kind, TransientError) for kind in later)
    assert all(issubclass(kind, PermanentError) for kind in never)
    assert all(issubclass(kind, ConfigurationError) for kind in wrong)
    assert not any(issubclass(kind, (TransientError, PermanentError, ConfigurationError)) for kind in unknown)
