"""Tests of `tokentail.statusline.settings` and of `members`: our status line goes in and out, and nothing else changes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokentail
from tokentail.cli import main
from tokentail.errors import TokentailError
from tokentail.statusline import members, settings
from tokentail.statusline.settings import install, uninstall

SRC = Path(tokentail.__file__).parents[1]
COMMAND = "/opt/my tools/tokentail statusline"
OURS = {"type": "command", "command": settings.command_of(["/opt/my tools/tokentail"]), "padding": 0}
THEIRS = '{ "type": "command",\n    "command": "~/line.sh" }'
FULL = f'{{\n  "model": "opus",\n  "env": {{"A": 1.0, "B": 1e5}},\n  "statusLine": {THEIRS},\n  "hooks": []\n}}\n'


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    (tmp_path / ".claude").mkdir()
    return tmp_path / ".claude" / "settings.json"


@pytest.fixture(name="memory")
def fixture_memory(tmp_path: Path) -> Path:
    return tmp_path / "store" / "statusline-before.json"


def put_in(path: Path, memory: Path) -> settings.Done:
    return install(path, settings.command_of(["/opt/my tools/tokentail"]), memory)


# In and out


@pytest.mark.parametrize(
    "before",
    [
        *(
            FULL,
            "{}",
            "{}\n",
            "{ }",
            '{"a":1}',
            '{"a":1,"statusLine":null}',
            '{\n\t"a": [1, 2],\n\t"b": "}{"\n}',
            '{"statusLine": 7, "a": 1}',
        ),
        *(' {"statusLine":{"type":"command","command":"x"}} ', '{"é": "\\u00e9", "a": {"statusLine": 1}}', '{"a": 1}\r\n'),
    ],
)
def test_out_again_is_as_it_was(before: str, path: Path, memory: Path) -> None:
    """In, it is ours and all else is the same; out, what it means and how it is written are as before."""
    path.write_bytes(before.encode())
    put_in(path, memory)
    document, old = json.loads(path.read_bytes()), json.loads(before)
    assert document.pop("statusLine") == OURS
    old.pop("statusLine", None)
    assert (document, list(document)) == (old, list(old))
    uninstall(path, memory)
    assert json.loads(path.read_bytes()) == json.loads(before)
    assert b"".join(path.read_bytes().split()) == b"".join(before.encode().split())


def test_every_other_byte_stays(path: Path, memory: Path) -> None:
    """A person's own layout, numbers and order are not written anew."""
    path.write_text(FULL, encoding="utf-8")
    put_in(path, memory)
    assert path.read_text(encoding="utf-8") == FULL.replace(THEIRS, json.dumps(OURS))
    uninstall(path, memory)
    assert path.read_text(encoding="utf-8") == FULL


def test_a_new_member_stands_as_the_others_do(path: Path, memory: Path) -> None:
    """It goes behind the last one, on a line of its own where that has one."""
    path.write_text('{\n    "a": 1\n}\n', encoding="utf-8")
    put_in(path, memory)
    assert path.read_text(encoding="utf-8") == f'{{\n    "a": 1,\n    "statusLine": {json.dumps(OURS)}\n}}\n'


def test_twice_is_once(path: Path, memory: Path) -> None:
    """Installing again changes nothing, and the first status line is still the one that comes back."""
    path.write_text(FULL, encoding="utf-8")
    put_in(path, memory)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert not put_in(path, memory).changed
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert uninstall(path, memory).changed
    assert not uninstall(path, memory).changed
    assert path.read_text(encoding="utf-8") == FULL


def test_a_program_that_has_moved_is_put_in_anew(path: Path, memory: Path) -> None:
    """The command is the new one, and what was before ours is still remembered."""
    path.write_text(FULL, encoding="utf-8")
    put_in(path, memory)
    install(path, "/new/tokentail statusline", memory)
    assert json.loads(path.read_bytes())["statusLine"]["command"] == "/new/tokentail statusline"
    uninstall(path, memory)
    assert path.read_text(encoding="utf-8") == FULL


def test_a_file_that_was_not_there(path: Path, memory: Path) -> None:
    """It is made for its owner alone, and gone again afterwards."""
    put_in(path, memory)
    assert json.loads(path.read_bytes()) == {"statusLine": OURS}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    uninstall(path, memory)
    assert not path.exists()


@pytest.mark.parametrize("command", ["~/line.sh", "tokentail statusline | tr a b", 'unclosed "quote tokentail statusline', 7])
def test_a_line_that_is_not_ours_stays(command: object, path: Path, memory: Path) -> None:
    """What a person has put in since is theirs, also where it runs tokentail in a way of its own."""
    path.write_text(json.dumps({"statusLine": {"type": "command", "command": command}}), encoding="utf-8")
    before = path.read_bytes()
    assert "stays" in uninstall(path, memory).said
    assert path.read_bytes() == before


# The file


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444])
def test_link_and_mode_stay(mode: int, path: Path, memory: Path, tmp_path: Path) -> None:
    """Settings that are a link into somebody's dotfiles stay one, and readable by whom they were."""
    target = tmp_path / "dotfiles.json"
    target.write_text(FULL, encoding="utf-8")
    target.chmod(mode)
    path.symlink_to(target)
    put_in(path, memory)
    assert path.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert json.loads(target.read_bytes())["statusLine"] == OURS
    assert uninstall(path, memory).changed
    assert (path.is_symlink(), target.read_text(encoding="utf-8")) == (True, FULL)


def test_what_it_was_stands_beside_it(path: Path, memory: Path) -> None:
    """Before each change the file is copied, with its mode, and nothing else is left there."""
    path.write_text(FULL, encoding="utf-8")
    path.chmod(0o640)
    done = put_in(path, memory)
    assert done.backup is not None
    assert done.backup.read_text(encoding="utf-8") == FULL
    assert stat.S_IMODE(done.backup.stat().st_mode) == 0o640
    assert sorted(path.parent.iterdir()) == sorted([path, done.backup])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "line 1, column 1: expecting value"),
        (b'{"a": 1,}', "line 1, column 9: expecting property name enclosed in double quotes"),
        (b'// mine\n{"a": 1}', "line 1, column 1: expecting value"),
        (b'{"a": 1}}', "line 1, column 9: extra data"),
        (b"[]", "it is no JSON object"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a": "\xff"}', "they are not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "line 1, column 1: unexpected UTF-8 BOM (decode using utf-8-sig)"),
    ],
)
def test_settings_that_are_no_json_are_refused(data: bytes, why: str, path: Path, memory: Path) -> None:
    """The message says where they are wrong, and not a byte changes."""
    path.write_bytes(data)
    with pytest.raises(TokentailError) as refused:
        put_in(path, memory)
    assert str(path) in str(refused.value)
    assert why in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert path.read_bytes() == data
    assert not memory.exists()


def test_a_place_that_cannot_be_written_is_named(path: Path, memory: Path, tmp_path: Path) -> None:
    """Where there can be no folder, the message says which, and the settings stay as they are."""
    path.write_text(FULL, encoding="utf-8")
    memory.parent.write_bytes(b"")
    with pytest.raises(TokentailError, match=r"cannot write .*statusline-before\.json: "):
        put_in(path, memory)
    assert path.read_text(encoding="utf-8") == FULL
    with pytest.raises(TokentailError, match=r"cannot (read|write) .*settings\.json"):
        put_in(memory.parent / "claude" / "settings.json", tmp_path / "memory.json")


def test_a_memory_that_is_spoiled_is_none(path: Path, memory: Path) -> None:
    """Then ours is taken out, and nothing comes back."""
    path.write_text(FULL, encoding="utf-8")
    put_in(path, memory)
    memory.write_text("[1", encoding="utf-8")
    uninstall(path, memory)
    assert "statusLine" not in json.loads(path.read_bytes())


MEMBERS = st.dictionaries(
    st.sampled_from(["a", "b", "statusLine", 'q"', "é", "\\"]), st.recursive(st.none() | st.integers() | st.text(), st.lists)
)


@given(MEMBERS, st.sampled_from([None, 0, 2, "\t"]), st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_one_member_changes(document: dict[str, object], indent: int | str | None, before: str, after: str) -> None:
    """In whatever layout an object is written, setting and taking out a member leaves the others, and their order."""
    text = f"{before}{json.dumps(document, indent=indent)}{after}"
    changed = members.with_value(text, "statusLine", "[7]")
    assert list(json.loads(changed).items()) == list({**document, "statusLine": [7]}.items())
    assert members.value_of(changed, "statusLine") == "[7]"
    gone = {name: value for name, value in document.items() if name != "statusLine"}
    assert list(json.loads(members.without(changed, "statusLine")).items()) == list(gone.items())
    if "statusLine" not in document and document:
        assert members.without(changed, "statusLine") == text


# The command


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "TOKENTAIL_HOME": str(home / "store"), "PYTHONPATH": str(SRC), "CLAUDE_CONFIG_DIR": ""}


def test_the_folder_of_claude_code_is_respected(tmp_path: Path) -> None:
    """`CLAUDE_CONFIG_DIR` says where the settings are, of several folders the first."""
    assert settings.settings_path({}, tmp_path) == tmp_path / ".claude" / "settings.json"
    assert settings.settings_path({"CLAUDE_CONFIG_DIR": "/x, /y"}, tmp_path) == Path("/x/settings.json")
    assert settings.settings_path({"CLAUDE_CONFIG_DIR": "/x/projects"}, tmp_path) == Path("/x/settings.json")


def test_the_command_that_is_put_in_runs(tmp_path: Path) -> None:
    """It is a whole path, so Claude Code's shell finds it from any folder; out again, the file is gone as it came."""
    words = [sys.executable, "-m", "tokentail", "statusline"]
    ran = subprocess.run([*words, "--install"], env=environment(tmp_path), capture_output=True, text=True, check=True)
    path = tmp_path / ".claude" / "settings.json"
    assert ran.stdout == f"Claude Code shows tokentail's status line now: {path}\n"
    assert "run `tokentail daily` once" in ran.stderr
    command = json.loads(path.read_bytes())["statusLine"]["command"]
    assert command.startswith("/")
    line = subprocess.run(
        command, shell=True, cwd="/", env=environment(tmp_path), input=b'{"cost": {"total_cost_usd": 2}}', capture_output=True, check=True
    )
    assert line.stdout == b"$2.00 | run `tokentail daily` once\n"
    subprocess.run([*words, "--uninstall"], env=environment(tmp_path), capture_output=True, check=True)
    assert not path.exists()


def test_both_at_once_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In or out."""
    assert main(["statusline", "--install", "--uninstall"]) == 2
    assert "not allowed" in capsys.readouterr().err


def test_a_kill_at_any_moment_leaves_settings_that_are_whole(tmp_path: Path) -> None:
    """Killed between two instructions, it leaves the old settings or the new ones, and the next call finishes the work."""
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(FULL, encoding="utf-8")
    code = (
        "import sys; from tokentail.cli import main; sys.stdout.write('.'); sys.stdout.flush(); sys.exit(main(['statusline', sys.argv[1]]))"
    )
    with_ours = FULL.replace(THEIRS, "{}")
    for number in range(12):
        started = subprocess.Popen(
            [sys.executable, "-c", code, ("--install", "--uninstall")[number % 2]],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert started.stdout is not None
        assert started.stdout.read(1) == b"."
        until = time.monotonic() + number * 0.003
        while time.monotonic() < until and started.poll() is None:
            pass
        started.send_signal(signal.SIGKILL)
        started.stdout.close()
        started.wait()
        text = path.read_text(encoding="utf-8")
        there = members.value_of(text, "statusLine")
        assert there is not None
        assert members.with_value(text, "statusLine", "{}") == with_ours
        assert there == THEIRS or "tokentail" in there
    for word in ("--install", "--uninstall"):
        subprocess.run([sys.executable, "-m", "tokentail", "statusline", word], env=environment(tmp_path), capture_output=True, check=True)
    assert path.read_text(encoding="utf-8") == FULL
