"""Tests of `tokentail.sources.clouds`: what is taken from the environment, and what becomes of a library's errors."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import obstore.exceptions as raised
import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from tokentail.addresses import parse
from tokentail.sources.clouds import Access, as_os_error, open_store

SLOW_DOWN = "the server asks to slow down (answer 503); it is asked again at the next look"
AZURE = "AccountName=dev;AccountKey=c2VjcmV0;BlobEndpoint=http://127.0.0.1:1/dev;"


@pytest.fixture(autouse=True)
def nothing_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("address", "access", "environment", "expected"),
    [
        ("s3://b", Access(), {"AWS_ENDPOINT_URL": "http://x:1"}, {"endpoint": "http://x:1"}),
        ("s3://b", Access(), {"AWS_ENDPOINT_URL": "http://x:1", "AWS_ENDPOINT_URL_S3": "http://y:2"}, {"endpoint": "http://y:2"}),
        ("s3://b", Access("http://z:3"), {"AWS_ENDPOINT_URL": "http://x:1"}, {"endpoint": "http://z:3"}),
        ("s3://b", Access(anonymous=True), {}, {"skip_signature": True}),
        ("gs://b", Access(), {"STORAGE_EMULATOR_HOST": "x:1"}, {"base_url": "http://x:1", "skip_signature": True}),
        ("gs://b", Access(anonymous=True), {}, {"skip_signature": True}),
        ("az://b", Access(), {"AZURE_STORAGE_CONNECTION_STRING": AZURE}, {"account_name": "dev", "endpoint": "http://127.0.0.1:1/dev"}),
        ("az://b", Access(anonymous=True), {"AZURE_STORAGE_ACCOUNT": "dev"}, {"account_name": "dev", "skip_signature": True}),
    ],
)
def test_where_a_bucket_is_asked(address: str, access: Access, environment: Mapping[str, str], expected: dict[str, object]) -> None:
    """The settings go before the environment; what the environment says is what the clouds' own tools take from it."""
    store = open_store(parse(address), access, {"HOME": "/nonexistent", **environment})
    assert isinstance(store, AzureStore | GCSStore | S3Store)
    config: dict[str, object] = dict(store.config)
    named = {key: [key, f"aws_{key}", f"google_{key}", f"azure_storage_{key}"] for key in expected}
    said = {key: next((config[name] for name in names if name in config), None) for key, names in named.items()}
    assert {key: str(value).lower() for key, value in said.items()} == {key: str(value).lower() for key, value in expected.items()}


@pytest.mark.parametrize(
    ("error", "number", "said"),
    [
        (raised.PreconditionError("x"), errno.ESTALE, "it was replaced while it was read"),
        (FileNotFoundError("x 404"), errno.ENOENT, "there is no such object"),
        (raised.GenericError("status code: 416 Range"), errno.ESTALE, "it was replaced while it was read"),
        (raised.GenericError("status code: 503 Busy"), errno.EIO, SLOW_DOWN),
        (raised.GenericError("status code: 418 Teapot"), errno.EIO, "the server answers 418"),
        (raised.GenericError("operation timed out"), errno.EIO, "the server does not answer in time"),
        (raised.GenericError("whatever"), errno.EIO, "the server's answer makes no sense"),
        (raised.PermissionDeniedError("x"), errno.EACCES, "access is denied (the credentials, or their lack, do not allow it)"),
    ],
)
def test_errors_in_words(error: Exception, number: int, said: str) -> None:
    found = as_os_error(error, "s3://b/x.jsonl")
    assert (found.errno, found.strerror, found.filename) == (number, said, "s3://b/x.jsonl")


def test_no_error_shows_a_request() -> None:
    """What the library quotes of a request may hold a signature."""
    found = as_os_error(raised.GenericError("Error performing GET http://h/b?sig=SECRET&X-Amz-Credential=KEY: HTTP error"), "az://b/x")
    assert "SECRET" not in str(found)
    assert "KEY" not in str(found)
