import boto3
import pytest
from botocore.loaders import create_loader
from tests.support.aws import REGION, Site
from tests.support.descriptions import remember_descriptions


def test_what_one_client_does_to_a_description_no_other_reader_sees(aws: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator finds its operations by the same descriptions, whichever tests have run before."""
    remember_descriptions(monkeypatch)
    whole = create_loader().load_service_model("s3", "service-2")
    boto3.client("s3", region_name=REGION).head_bucket(Bucket=aws.bucket)
    assert create_loader().load_service_model("s3", "service-2") == whole
    assert whole["operations"]["HeadBucket"]["http"]["requestUri"] == "/{Bucket}"
