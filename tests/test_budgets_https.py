"""Tests of webhooks over https: real processes, a real server, and a certificate authority made for the occasion by openssl."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from budgeting import Hook, hook
from builders import line, write_logs
from tokentail.budgets.channels import SECRET

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl, which is not here")


class Authority:
    """A certificate authority that nobody knows, and a certificate of it for a name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._openssl("req", "-x509", *self._key("ca"), "-out", "ca.pem", "-days", "2", "-subj", "/CN=A made-up authority")

    def certified(self, *names: str) -> Path:
        """A file with a certificate for those names, and its key."""
        (self.folder / "names").write_text(f"subjectAltName={','.join(names)}\n")
        self._openssl("req", *self._key("server"), "-out", "server.csr", "-subj", "/CN=A made-up server")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "1", "-days", "2", "-extfile", "names")
        self._openssl("x509", "-req", "-in", "server.csr", *signed, "-out", "server.crt")
        whole = self.folder / "server.pem"
        whole.write_bytes((self.folder / "server.crt").read_bytes() + (self.folder / "server.key").read_bytes())
        return whole

    @staticmethod
    def _key(name: str) -> tuple[str, ...]:
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(name="authority", scope="module")
def fixture_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def secure_hook(certificate: Path) -> Iterator[Hook]:
    """The server of `budgeting.hook` behind TLS; its address begins with https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with hook(context) as made:
        yield made


class Home:
    """A home with one reply, and a budget that it crosses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = write_logs(folder / "logs", {"-home-dev-app/s1.jsonl": line("msg_1")})

    def run(self, address: str, *words: str, trusted: Path | None = None, secret: str = "") -> subprocess.CompletedProcess[str]:
        """`tokentail budget` in a process of its own, whose only certificate authority is the given one."""
        config = self.folder / "config.toml"
        config.write_text(f'[budgets.all]\nmeasure = "tokens"\nperiod = "month"\nthreshold = 0\nwebhook = "{address}"\n')
        environment = {**os.environ, "TOKENTAIL_CONFIG": str(config), "TOKENTAIL_HOME": str(self.folder / "home"), SECRET: secret}
        environment |= {"SSL_CERT_FILE": str(trusted or os.devnull), "SSL_CERT_DIR": str(self.folder / "none"), "TZ": "UTC"}
        command = [sys.executable, "-m", "tokentail", "budget", "--source", str(self.logs), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_webhook_is_told_over_https(home: Home, authority: Authority) -> None:
    """Signed, by a check whose exit code says that something is crossed; the second check tells nobody."""
    with secure_hook(authority.certified("IP:127.0.0.1")) as web:
        for _ in range(2):
            ran = home.run(web.address, "--check", trusted=authority.certificate, secret="a secret")
            assert ran.returncode == 3
        (heard,) = web.heard
    signed = heard.headers["X-Tokentail-Timestamp"].encode() + b"." + heard.body
    expected = hmac.new(b"a secret", signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(heard.headers["X-Tokentail-Signature"], f"sha256={expected}")
    assert heard.json["budget"] == "all"


def test_a_server_that_is_busy_is_asked_again(home: Home, authority: Authority) -> None:
    """With the same delivery, each attempt with a signature that holds."""
    with secure_hook(authority.certified("IP:127.0.0.1")) as web:
        web.answers = [503, 429, 204]
        ran = home.run(web.address, "--test", "all", trusted=authority.certificate, secret="a secret")
        assert (ran.returncode, ran.stdout) == (0, "webhook: told\n")
        assert len({heard.headers["X-Tokentail-Delivery"] for heard in web.heard}) == 1
        for heard in web.heard:
            signed = heard.headers["X-Tokentail-Timestamp"].encode() + b"." + heard.body
            assert heard.headers["X-Tokentail-Signature"] == f"sha256={hmac.new(b'a secret', signed, hashlib.sha256).hexdigest()}"
        assert len(web.heard) == 3


@pytest.mark.parametrize(
    ("names", "is_trusted", "why"),
    [("IP:127.0.0.1", False, "unable to get local issuer certificate"), ("DNS:example.org", True, "IP address mismatch")],
)
def test_a_server_that_cannot_be_trusted_hears_nothing(home: Home, authority: Authority, names: str, is_trusted: bool, why: str) -> None:
    """One whose authority nobody knows, and one with a certificate for another name; a person hears which of the two."""
    with secure_hook(authority.certified(names)) as web:
        ran = home.run(web.address, "--test", "all", trusted=authority.certificate if is_trusted else None)
        assert web.heard == []
    assert ran.returncode == 1
    assert ran.stdout.startswith("webhook: the webhook cannot be reached: its certificate cannot be trusted: ")
    assert why in ran.stdout
    assert "s3cret" not in ran.stdout + ran.stderr


def test_a_server_without_tls_hears_nothing(home: Home) -> None:
    """Whoever writes https means it."""
    with hook() as web:
        ran = home.run(web.address.replace("http://", "https://"), "--test", "all")
        assert web.heard == []
    assert ran.returncode == 1
    assert ran.stdout.startswith("webhook: the webhook cannot be reached: ")


def test_a_check_says_that_it_could_not_tell(home: Home) -> None:
    """That something is crossed is still its exit code; nothing listens at that port."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ran = home.run(f"https://127.0.0.1:{unused.getsockname()[1]}/s3cret", "--check")
    assert ran.returncode == 3
    assert "budget all cannot be told by webhook: the webhook cannot be reached: Connection refused" in ran.stderr
    assert "s3cret" not in ran.stderr
