"""The only place that knows each cloud's own conventions: where its credentials and its endpoint come from, and what its errors mean."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokentail.addresses import Address
from tokentail.errors import SourceError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# A request that a server does not answer, or answers with "later", is asked again for so long, ever less often.
RETRIES = 6
RETRY_FOR_S = 30.0
CONNECT_S = 5.0
READ_S = 20.0  # between two pieces of an answer
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_AWS_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


class Access(NamedTuple):
    """What a person sets besides the environment."""

    endpoint: str = ""  # of a server of their own; "": the cloud's
    anonymous: bool = False  # ask without credentials
    profile: str = ""  # of ~/.aws; "": `AWS_PROFILE`


NO_SETTINGS = Access()


def open_store(address: Address, access: Access, environment: Mapping[str, str] = os.environ) -> ObjectStore:
    """
    A way to a bucket; nobody is asked yet.

    Raises:
        SourceError: what is needed for it is not installed, or the settings make no sense.
    """
    try:
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise SourceError(f"cannot read {address}: buckets are read through obstore (pip install 'tokentail[remote]')") from error
    config, options = _SETTINGS[address.scheme](access, environment)
    endpoint = next((str(config[key]) for key in ("endpoint", "base_url") if key in config), "")
    client = {"connect_timeout": timedelta(seconds=CONNECT_S), "read_timeout": timedelta(seconds=READ_S)}
    if endpoint.startswith("http://"):
        client["allow_http"] = True  # type: ignore[assignment]  # an own server may do without TLS
    retry = {
        "max_retries": RETRIES,
        "retry_timeout": timedelta(seconds=RETRY_FOR_S),
        "backoff": {"init_backoff": timedelta(seconds=_FIRST_PAUSE_S), "max_backoff": timedelta(seconds=_LONGEST_PAUSE_S), "base": 2},
    }
    kind = {"s3": obstore.store.S3Store, "gs": obstore.store.GCSStore, "az": obstore.store.AzureStore}[address.scheme]
    try:
        made: ObjectStore = kind(address.bucket, config=config, client_options=client, retry_config=retry, **options)
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise SourceError(f"cannot read {address}: {_first_line(error)} (docs/remote.md says what can be set)") from error
    return made


def _s3(access: Access, environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    config: dict[str, Any] = {}
    if endpoint := access.endpoint or next((environment[name] for name in _AWS_ENDPOINTS if environment.get(name)), ""):
        config["endpoint"] = endpoint
    if access.anonymous:
        return {**config, "skip_signature": True}, {}
    profile = access.profile or environment.get("AWS_PROFILE", "")
    if profile or (_has_aws_files(environment) and not any(environment.get(name) for name in _AWS_KEYS)):
        provider = _boto3_provider(profile)
        if provider is not None:
            return config, {"credential_provider": provider}
    return config, {}


def _has_aws_files(environment: Mapping[str, str]) -> bool:
    usual = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    folder = Path(environment.get("HOME") or "~").expanduser() / ".aws"
    return any(os.path.isfile(environment.get(name) or folder / file) for name, file in usual.items())


def _boto3_provider(profile: str) -> Any:
    """What reads profiles, or None where nobody asked for one and it is not installed."""
    try:
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        if not profile:
            return None
        raise SourceError(
            f"cannot use the AWS profile {profile}: profiles are read through boto3 (pip install 'tokentail[aws-profiles]')"
        ) from error
    try:
        return Boto3CredentialProvider(Session(profile_name=profile or None))
    except (BotoCoreError, ValueError) as error:
        if not profile:
            return None
        raise SourceError(f"cannot use the AWS profile {profile}: {_first_line(error)}") from error


def _gcs(access: Access, environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"
    endpoint = access.endpoint or emulator
    config: dict[str, Any] = {"base_url": endpoint} if endpoint else {}
    if access.anonymous or (emulator and not access.endpoint):
        config["skip_signature"] = True
    return config, {}


def _azure(access: Access, environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    said = dict(part.split("=", 1) for part in environment.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";") if "=" in part)
    config: dict[str, Any] = {
        "account_name": said.get("AccountName") or environment.get("AZURE_STORAGE_ACCOUNT"),
        "account_key": said.get("AccountKey"),
        "sas_key": said.get("SharedAccessSignature"),
        "endpoint": access.endpoint or said.get("BlobEndpoint"),
        "skip_signature": True if access.anonymous else None,
    }
    return {key: value for key, value in config.items() if value}, {}


_SETTINGS = {"s3": _s3, "gs": _gcs, "az": _azure}

# What servers say is wrong, by the codes of their answers, and what a person can do.
_CODES = {
    "RequestTimeTooSkewed": "the clock of this machine differs too much from the server's (set it right)",
    "InvalidAccessKeyId": "the access key is unknown there (check the credentials)",
    "SignatureDoesNotMatch": "the secret key does not fit the access key, or the clock is wrong (check the credentials)",
    "AuthenticationFailed": "the credentials do not fit, or the clock is wrong (check the credentials)",
    "AuthorizationFailure": "the credentials do not fit (check the credentials)",
    "ExpiredToken": "the credentials have expired (get new ones)",
    "InvalidToken": "the session token is not valid (get new credentials)",
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such container",
    "AccessDenied": "access is denied (the credentials, or their lack, do not allow it)",
    "AuthorizationPermissionMismatch": "access is denied (the credentials do not allow it)",
    "PermanentRedirect": "the bucket is in another region (set AWS_REGION)",
    "AuthorizationHeaderMalformed": "the bucket is in another region (set AWS_REGION)",
    "SlowDown": "the server asks to slow down",
    "ServerBusy": "the server is busy",
}


def as_os_error(error: Exception, where: str) -> OSError:
    """What the library raises as what a file system would; the words are ours, since its own hold whole requests."""
    import obstore.exceptions as raised

    said = str(error)
    code = next((code for code in re.findall(r"<Code>(\w+)</Code>", said) if code in _CODES), "")
    status = (re.findall(r"status code: (\d{3})", said) or [""])[-1]
    if isinstance(error, (raised.PreconditionError, raised.NotModifiedError)) or status == "416":
        return OSError(errno.ESTALE, "it was replaced while it was read", where)
    if isinstance(error, FileNotFoundError | raised.NotFoundError):
        if code in ("NoSuchBucket", "ContainerNotFound"):
            return OSError(errno.EIO, _CODES[code], where)
        return FileNotFoundError(errno.ENOENT, "there is no such object", where)
    if code:
        return OSError(errno.EACCES, _CODES[code], where)
    if isinstance(error, (raised.PermissionDeniedError, raised.UnauthenticatedError, PermissionError)) or status in ("401", "403"):
        return OSError(errno.EACCES, _CODES["AccessDenied"], where)
    if status in ("429", "503"):
        return OSError(errno.EIO, f"{_CODES['SlowDown']} (answer {status}); it is asked again at the next look", where)
    return OSError(errno.EIO, _reason(said, status), where)


_REASONS = (
    ("performing token request", "no credentials were found (set them as the cloud's own tools want them, or remote.anonymous)"),
    ("169.254.169.254", "no credentials were found (set them as the cloud's own tools want them, or remote.anonymous)"),
    ("error sending request", "the server cannot be reached"),
    ("dns error", "the server's name is not known"),
    ("timed out", "the server does not answer in time"),
    ("request or response body error", "the connection broke"),
    ("error decoding response body", "the connection broke"),
)


def _reason(said: str, status: str) -> str:
    lowered = said.lower()
    for sign, words in _REASONS:
        if sign in lowered:
            return words
    return f"the server answers {status}" if status else "the server's answer makes no sense"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].partition("http")[0].rstrip(" :")[:200]
