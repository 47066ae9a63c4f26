"""S3, SQS and restores on this machine, for the demo and for tests; never for production.

``server`` serves (and needs moto), ``client`` fills it (and needs only boto3).
"""
