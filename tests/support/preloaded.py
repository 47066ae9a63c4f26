"""What each process of the tests would do anew, done once in the server that forks them."""

from functools import cache

import boto3
from botocore.loaders import JSONFileLoader, Loader, create_loader


def remember_descriptions() -> None:
    """Read the large descriptions of Amazon's services once, where each client would do it anew."""
    load, services = cache(JSONFileLoader().load_file), cache(create_loader().list_available_services)
    Loader.list_available_services = lambda _, type_name: services(type_name)
    JSONFileLoader.load_file = lambda _, path: load(path)


remember_descriptions()
for _service in ("s3", "sqs"):
    boto3.Session("preloaded", "preloaded", region_name="us-east-1").client(_service)
