"""Addresses as they may be shown: nothing in them lets a person in."""

import pytest

from schemas.addresses import has_secret, without_secrets

SHOWN = {
    "postgresql://grail:pa55@db:5432/mlflow": "postgresql://db:5432/mlflow",
    "postgresql+psycopg2://grail:p@5:5/w?rd@db/mlflow": "postgresql+psycopg2://db/mlflow",
    "postgresql://me:se@cret@db/mlflow": "postgresql://db/mlflow",
    "https://a-token@mlflow.lan/x": "https://mlflow.lan/x",
    "http://me:pa55@[::1]:5000/": "http://[::1]:5000/",
    "s3://AKIA:c/+Xret@bucket/folder": "s3://bucket/folder",
    "mysql://db/x?user=me&password=pa55&charset=utf8": (
        "mysql://db/x?user=me&password=***&charset=utf8"
    ),
    "https://m/?SAS_Token=a%2Fb;sig=x#top": "https://m/?SAS_Token=***;sig=***#top",
    "s3://bucket?aws_secret_access_key=k&endpoint=e": (
        "s3://bucket?aws_secret_access_key=***&endpoint=e"
    ),
}


@pytest.mark.parametrize(("address", "shown"), SHOWN.items())
def test_what_lets_a_person_in_is_not_shown(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
    assert without_secrets(f"asked <{address}>, 'twice'") == f"asked <{shown}>, 'twice'"
    assert has_secret(address)
    assert without_secrets(shown) == shown


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:5000/#/experiments/1/runs/2",
        "sqlite:////home/me/data/mlflow.db",
        "sqlite:////a/b:c@d/mlflow.db",
        "sqlite+pysqlite:///file:/home/me%40work/a%3Fb/mlflow.db?uri=true",
        "postgresql://db/mlflow?sslmode=require",
        "s3://bucket/me@work/data",
        "write to me@work, see http://docs, or ask you@work",
        "/home/me@work/what?password",
    ],
)
def test_what_is_no_secret_stays(address: str) -> None:
    assert without_secrets(address) == address
    assert not has_secret(address)
