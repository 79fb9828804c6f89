"""Makes a bucket where there is none, as ``bucket NAME``; the environment says where it lives."""

import os
import sys

from botocore.session import get_session


def main(name: str) -> None:
    """Make the bucket, and leave one that is there already as it is."""
    store = get_session().create_client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    if name not in {one["Name"] for one in store.list_buckets()["Buckets"]}:
        store.create_bucket(Bucket=name)


if __name__ == "__main__":
    main(*sys.argv[1:])
