"""What each process of the tests would do anew, done once in the server that forks them."""

import boto3
import pytest
from tests.support.descriptions import remember_descriptions

remember_descriptions(pytest.MonkeyPatch())
for _service in ("s3", "sqs"):
    boto3.Session("preloaded", "preloaded", region_name="us-east-1").client(_service)
