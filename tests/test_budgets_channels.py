"""Tests of `tokentail.budgets.channels`: a crossing is told by real programs and to a real server, and no secret gets out."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from budgeting import NOW_MS, hook, measured, used
from tokentail.budgets.channels import SECRET, Channels, Told
from tokentail.config import Budget, Config, Webhooks

PATH = {"PATH": "/usr/bin:/bin"}
DAY = Budget("a day", "cost", "0.02", projects=("-home-*",))
HOSTILE = "$(touch owned); `touch owned` | \"'<b>&\x1b[2J"


def told(budget: Budget) -> Told:
    (standing,) = measured([budget], used(1, 1))
    return Told(standing, NOW_MS)


def tell(budget: Budget, way: str, *, environment: Mapping[str, str] = PATH, settings: Config = Config()) -> str:  # noqa: B008  # it is frozen
    return Channels(settings, environment, waits_s=(0.0, 0.0)).tell(way, told(budget))


# Webhooks


def test_a_webhook_gets_all_there_is_to_know() -> None:
    """As JSON, at the path of its address, with the query."""
    with hook() as web:
        assert tell(DAY._replace(webhook=web.address), "webhook") == ""
        (heard,) = web.heard
    assert heard.path == "/hook/s3cret?a=b"
    assert heard.headers["Content-Type"] == "application/json"
    assert heard.headers["X-Tokentail-Delivery"] == heard.json.pop("id")
    assert {name: value for name, value in heard.json.items() if name != "id"} == {
        "schema": "tokentail/alert/1",
        "test": False,
        "budget": "a day",
        "measure": "cost",
        "unit": "USD",
        "value": 0.025,
        "threshold": 0.02,
        "value_is_lower_bound": False,
        "standing": None,
        "age_seconds": None,
        "period": "2026-10-02",
        "period_start": "2026-10-02T00:00:00Z",
        "period_end": "2026-10-03T00:00:00Z",
        "projects": ["-home-*"],
        "models": [],
        "hosts": [],
        "users": [],
        "crossed_at": "2026-10-02T12:00:00.000Z",
        "message": "budget a day: 0.03 of 0.02 USD in 2026-10-02",
    }


@pytest.mark.parametrize("kept", ["environment", "file"])
def test_a_webhook_is_signed(tmp_path: Path, kept: str) -> None:
    """With a secret of the environment, or of a file that nobody else may read: over the time and the body."""
    file = tmp_path / "secret"
    file.write_text("a secret\n")
    file.chmod(0o600)
    environment = {**PATH, SECRET: "a secret"} if kept == "environment" else PATH
    settings = Config(webhooks=Webhooks("/no/such/file" if kept == "environment" else str(file)))
    with hook() as web:
        assert tell(DAY._replace(webhook=web.address), "webhook", environment=environment, settings=settings) == ""
        (heard,) = web.heard
    signed = heard.headers["X-Tokentail-Timestamp"].encode() + b"." + heard.body
    expected = hmac.new(b"a secret", signed, hashlib.sha256).hexdigest()
    assert heard.headers["X-Tokentail-Signature"] == f"sha256={expected}"
    assert b"a secret" not in heard.body


def test_without_a_secret_there_is_no_signature() -> None:
    """None is better than one that anybody can make."""
    with hook() as web:
        tell(DAY._replace(webhook=web.address), "webhook")
        assert "X-Tokentail-Signature" not in web.heard[0].headers


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    """And nothing is sent without it: who wants a signature would refuse it."""
    file = tmp_path / "secret"
    file.write_text("a secret")
    file.chmod(mode)
    with hook() as web:
        why = tell(DAY._replace(webhook=web.address), "webhook", settings=Config(webhooks=Webhooks(str(file))))
        assert why == f"{file} holds a secret, and others may read it (chmod 600 {file})"
        assert web.heard == []


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    """An empty file, a folder, and no file."""
    (tmp_path / "empty").touch(mode=0o600)
    for name, why in (("empty", "is empty"), (".", "is no regular file"), ("none", "No such file")):
        settings = Config(webhooks=Webhooks(str(tmp_path / name)))
        assert why in tell(DAY._replace(webhook="http://127.0.0.1:9/"), "webhook", settings=settings)


@pytest.mark.parametrize("kept", ["env", "file"])
def test_an_address_may_be_kept_elsewhere(tmp_path: Path, kept: str) -> None:
    """Like a secret."""
    with hook() as web:
        file = tmp_path / "hook"
        file.write_text(web.address)
        file.chmod(0o600)
        where = f"file:{file}" if kept == "file" else "env:MY_HOOK"
        assert tell(DAY._replace(webhook=where), "webhook", environment={**PATH, "MY_HOOK": web.address}) == ""
        assert len(web.heard) == 1


@pytest.mark.parametrize(
    ("statuses", "heard", "why"),
    [
        ([500, 503, 204], 3, ""),
        ([429, 204], 2, ""),
        ([500], 3, "the webhook answered with status 500"),
        ([404], 1, "the webhook answered with status 404"),
        ([302], 3, "the webhook answered with status 302"),
    ],
)
def test_a_webhook_is_tried_three_times(statuses: list[int], heard: int, why: str) -> None:
    """Unless its answer says that it is no use; a redirect is not followed, since that could lead anywhere."""
    with hook() as web:
        web.answers = list(statuses)
        assert tell(DAY._replace(webhook=web.address), "webhook") == why
        assert len(web.heard) == heard
        assert len({each.json["id"] for each in web.heard}) == 1


def test_an_address_is_in_no_message() -> None:
    """Who knows the path of a webhook can send to it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for address in (f"http://127.0.0.1:{port}/s3cret", "http://s3cret.invalid:99999/s3cret", "gopher://s3cret/", "http://[s3cret/"):
            why = tell(DAY._replace(webhook="env:MY_HOOK"), "webhook", environment={**PATH, "MY_HOOK": address})
            assert why.startswith("the webhook ")
            assert "s3cret" not in why


def test_a_variable_that_is_not_set_is_told() -> None:
    """By its name."""
    assert tell(DAY._replace(webhook="env:MY_HOOK"), "webhook") == "the variable MY_HOOK names no webhook (set it)"


# Commands


def test_a_command_gets_its_words_as_they_are(tmp_path: Path) -> None:
    """No shell looks at them: neither at those of the settings nor at what stands for the names in braces."""
    said = tmp_path / "said"
    script = f'import sys, pathlib; pathlib.Path({str(said)!r}).write_text("\\n".join(sys.argv[1:]))'
    budget = DAY._replace(
        name=HOSTILE, command=("python3", "-c", script, HOSTILE, "{budget}", "{measure}={value}/{threshold} {unit}", "{other}")
    )
    assert tell(budget, "command") == ""
    assert said.read_text() == "\n".join([HOSTILE, HOSTILE, "cost=0.025/0.02 USD", "{other}"])
    assert not Path("owned").exists()


def test_what_is_put_in_is_not_looked_through_again(tmp_path: Path) -> None:
    """A budget may be called {value}."""
    said = tmp_path / "said"
    tell(DAY._replace(name="{value}", command=("sh", "-c", f'printf %s "$0" > "{said}"', "{budget}")), "command")
    assert said.read_text() == "{value}"


def test_a_command_gets_the_json_on_its_standard_input(tmp_path: Path) -> None:
    """The same as a webhook."""
    said = tmp_path / "said"
    assert tell(DAY._replace(command=("sh", "-c", f'cat > "{said}"')), "command") == ""
    assert json.loads(said.read_text())["message"] == "budget a day: 0.03 of 0.02 USD in 2026-10-02"


def test_a_command_does_not_get_the_secret(tmp_path: Path) -> None:
    """It is for the signature alone."""
    said = tmp_path / "said"
    environment = {**PATH, SECRET: "s3cret", "OTHER": "seen"}
    assert tell(DAY._replace(command=("sh", "-c", f'env > "{said}"')), "command", environment=environment) == ""
    assert "OTHER=seen" in said.read_text()
    assert "s3cret" not in said.read_text()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("sh", "-c", "exit 7"), "sh ended with exit code 7"),
        (("/no/such/program",), "cannot run /no/such/program: No such file or directory"),
        (("/",), "cannot run /: Permission denied"),
        (("true",), ""),
        (("sh", "-c", "exec 0<&-; exit 0"), ""),
    ],
)
def test_a_command_that_fails_says_how(command: tuple[str, ...], why: str) -> None:
    """One that does not read what it is given does not."""
    assert tell(DAY._replace(command=command), "command") == why


# The desktop


def test_the_desktop_gets_a_title_and_harmless_words(tmp_path: Path) -> None:
    """What a desktop would read as markup or an option is none."""
    program = tmp_path / "notify-send"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "${0%/*}/said"\n')
    program.chmod(0o700)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert tell(DAY._replace(name="--help\x1b<b>", measure="cache_hit_rate"), "desktop", environment=environment) == ""
    assert (tmp_path / "said").read_text().splitlines() == [
        "--app-name=tokentail",
        "--",
        "budget --help\ufffd<b>",
        "? below 0.0 % in 2026-10-02",
    ]


def test_a_machine_without_a_desktop_says_so(tmp_path: Path) -> None:
    """It is no error of ours."""
    assert tell(DAY, "desktop", environment={"PATH": str(tmp_path)}) == "cannot run notify-send: No such file or directory"
