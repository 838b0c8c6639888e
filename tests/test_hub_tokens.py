"""Tests of `tokentail.fleet.hub_tokens` and `tokentail hub`: who may send, who may read, and for how long."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tokentail.errors import TokentailError, UsageError
from tokentail.fleet import hub_tokens
from tokentail.fleet.hub_tokens import AGENT, VIEWER, Keyring


def tokentail(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TOKENTAIL_HOME": str(home)}
    return subprocess.run([sys.executable, "-m", "tokentail", *words], env=environment, capture_output=True, text=True, check=False)


def test_a_token_opens_until_it_is_revoked(tmp_path: Path) -> None:
    """For a hub that runs, from the next question on."""
    keyring = Keyring(tmp_path)
    word = hub_tokens.add(tmp_path, "laptop", AGENT, host="laptop", user="anna")
    found = keyring.find(word)
    assert found is not None
    assert (found.name, found.role, found.host, found.user) == ("laptop", AGENT, "laptop", "anna")
    other = hub_tokens.add(tmp_path, "desk", AGENT)
    hub_tokens.revoke(tmp_path, "laptop")
    assert keyring.find(word) is None
    assert keyring.find(other) is not None
    for wrong in ("", "x", other[:-1], other + "x", "\ud800", hub_tokens.hash_of(other)):
        assert keyring.find(wrong) is None


def test_only_a_viewer_has_a_cookie(tmp_path: Path) -> None:
    """What is given to a browser is another word than the token, and neither stands for the other."""
    keyring = Keyring(tmp_path)
    agent, viewer = hub_tokens.add(tmp_path, "a", AGENT), hub_tokens.add(tmp_path, "v", VIEWER)
    assert keyring.find_cookie(hub_tokens.cookie_of(viewer)) == keyring.find(viewer)
    for wrong in (viewer, agent, hub_tokens.cookie_of(agent), ""):
        assert keyring.find_cookie(wrong) is None
    for wrong in (hub_tokens.cookie_of(viewer), f"cookie {hub_tokens.hash_of(viewer)}"):
        assert keyring.find(wrong) is None


def test_nothing_that_opens_is_kept(tmp_path: Path) -> None:
    """Hashes, for their owner's eyes only."""
    word = hub_tokens.add(tmp_path, "v", VIEWER)
    path = tmp_path / "hub.tokens"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert word not in path.read_text()
    assert hub_tokens.cookie_of(word) not in path.read_text()


@pytest.mark.parametrize("said", ["", "{", "[]", '{"tokens": [{}]}', '{"tokens": [{"name": 1}]}', '{"tokens": 5}', "[" * 100_000])
def test_a_file_that_cannot_be_used_opens_nothing(tmp_path: Path, said: str) -> None:
    """A hub that runs goes on without it, and whoever changes it is told; it is not replaced."""
    word = hub_tokens.add(tmp_path, "a", AGENT)
    keyring = Keyring(tmp_path)
    assert keyring.find(word) is not None
    (tmp_path / "hub.tokens").write_text(said)
    assert keyring.find(word) is None
    with pytest.raises(TokentailError, match="cannot use the tokens"):
        hub_tokens.add(tmp_path, "b", AGENT)
    assert (tmp_path / "hub.tokens").read_text() == said


def test_a_role_that_is_none_opens_nothing(tmp_path: Path) -> None:
    """Of an older or newer tokentail, or written by hand."""
    word = hub_tokens.add(tmp_path, "a", AGENT)
    path = tmp_path / "hub.tokens"
    path.write_text(path.read_text().replace('"agent"', '"admin"'))
    assert Keyring(tmp_path).find(word) is None


def test_tokens_added_at_once_are_all_kept(tmp_path: Path) -> None:
    """One process changes the file at a time."""
    with ThreadPoolExecutor(4) as pool:
        words = list(pool.map(lambda number: hub_tokens.add(tmp_path, f"t{number}", AGENT), range(16)))
    keyring = Keyring(tmp_path)
    assert {token.name for word in words if (token := keyring.find(word))} == set(hub_tokens.read(tmp_path)) == {f"t{n}" for n in range(16)}


@pytest.mark.parametrize("name", ["", "two words", "line\nend", "x" * 101, "\u202e"])
def test_a_name_is_a_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        hub_tokens.add(tmp_path, name, AGENT)


def test_uses_are_written_down_now_and_then(tmp_path: Path) -> None:
    """At most once a minute, beside what was written before; not those of tokens that are gone."""
    keyring = Keyring(tmp_path)
    tokens = [keyring.find(hub_tokens.add(tmp_path, name, AGENT)) for name in ("a", "b", "c")]
    for token in tokens:
        assert token is not None
        keyring.note_use(token)
        keyring.write_uses()
    assert set(hub_tokens.uses_in(tmp_path)) == {"a"}
    hub_tokens.revoke(tmp_path, "b")
    keyring.write_uses(at_once=True)
    assert set(hub_tokens.uses_in(tmp_path)) == {"a", "c"}
    (tmp_path / "hub.tokens.used").write_text("[")
    assert hub_tokens.uses_in(tmp_path) == {}


def test_the_commands_say_what_they_do(tmp_path: Path) -> None:
    """The token alone on stdout, a list without it, and what is wrong in words."""
    home = tmp_path / "home"
    assert tokentail(home, "hub", "token", "list").stdout.startswith("There is no token")
    made = tokentail(home, "hub", "token", "add", "laptop", "--role", "agent", "--host", "laptop")
    assert made.returncode == 0
    (word,) = made.stdout.split()
    found = Keyring(home).find(word)
    assert found is not None
    assert "TOKENTAIL_PUSH_TOKEN" in made.stderr
    assert tokentail(home, "hub", "token", "add", "vera", "--role", "viewer").returncode == 0
    listed = tokentail(home, "hub", "token", "list").stdout
    rows = [line.split() for line in listed.splitlines()]
    assert [row[:4] for row in rows] == [
        ["NAME", "ROLE", "HOST", "USER"],
        ["laptop", "agent", "laptop", "any"],
        ["vera", "viewer", "any", "any"],
    ]
    assert [row[-1] for row in rows] == ["USED", "never", "never"]
    assert word not in listed
    for words, said in (
        (("add", "laptop", "--role", "agent"), "there is a token of that name already"),
        (("add", "eve", "--role", "viewer", "--host", "h"), "a viewer's token reads everything"),
        (("revoke", "nobody"), "there is no token of that name"),
    ):
        refused = tokentail(home, "hub", "token", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr
    assert tokentail(home, "hub", "token", "revoke", "laptop").returncode == 0
    assert Keyring(home).find(word) is None


def test_a_name_that_was_used_before_is_new(tmp_path: Path) -> None:
    """When an earlier token of that name was used says nothing of this one."""
    hub_tokens.add(tmp_path, "laptop", AGENT)
    (tmp_path / "hub.tokens.used").write_text(json.dumps({"laptop": 1_000}))
    assert "never" in tokentail(tmp_path, "hub", "token", "list").stdout
    (tmp_path / "hub.tokens.used").write_text(json.dumps({"laptop": 4_000_000_000_000}))
    assert "2096-10-02 07:06 UTC" in tokentail(tmp_path, "hub", "token", "list").stdout
