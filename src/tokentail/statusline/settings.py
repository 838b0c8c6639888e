"""The only place that writes Claude Code's settings: our status line goes in and out, and nothing else changes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tokentail.atomic import cannot_write, whole_file
from tokentail.errors import TokentailError
from tokentail.statusline import members

_NAME = "statusLine"
_MOST_BYTES = 10_000_000


class Done(NamedTuple):
    """What was done."""

    settings: Path
    changed: bool
    said: str
    backup: Path | None = None


class _Memory(NamedTuple):
    """What stood there before ours."""

    value: str | None  # as it was written
    had_file: bool


def settings_path(environment: Mapping[str, str], home: Path) -> Path:
    """Claude Code's own settings: in `CLAUDE_CONFIG_DIR`, of several the first one, or in `~/.claude`."""
    given = next((part.strip() for part in environment.get("CLAUDE_CONFIG_DIR", "").split(",") if part.strip()), "")
    folder = Path(given).expanduser() if given else home / ".claude"
    return (folder.parent if folder.name == "projects" else folder) / "settings.json"


def command_of(program: Sequence[str]) -> str:
    """The command that Claude Code's shell is to run."""
    return f"{shlex.join(program)} statusline"


def install(path: Path, command: str, memory: Path) -> Done:
    """
    Make `command` the status line; one that is there is remembered in the file `memory`. Doing it again changes nothing.

    Raises:
        TokentailError: the settings cannot be read, are no JSON, changed meanwhile, or cannot be written.
    """
    before = _read(path)
    text = "{}\n" if before is None else before
    there = _in_words(path, text)
    wanted = json.dumps({"type": "command", "command": command, "padding": 0})
    if there is not None and _is_ours(there):
        if json.loads(there).get("command") == command:
            return Done(path, False, "tokentail's status line is there already")
    else:
        _remember(memory, path, _Memory(there, before is not None))
    backup = _replace(path, before, members.with_value(text, _NAME, wanted))
    kept = " (the one that was there is kept, and --uninstall brings it back)" if there is not None and not _is_ours(there) else ""
    return Done(path, True, f"Claude Code shows tokentail's status line now{kept}", backup)


def uninstall(path: Path, memory: Path) -> Done:
    """
    Take our status line out again, and put the one in that was there before. One that is not ours stays.

    Raises:
        TokentailError: as above.
    """
    before = _read(path)
    there = None if before is None else _in_words(path, before)
    if before is None or there is None or not _is_ours(there):
        why = "there is no status line" if there is None else "the status line is not tokentail's, and stays"
        return Done(path, False, why)
    remembered = _remembered(memory).get(os.path.realpath(path), _Memory(None, True))
    value = remembered.value
    after = members.without(before, _NAME) if value is None else members.with_value(before, _NAME, value)
    is_nothing = not remembered.had_file and not members.members(after)
    backup = _remove(path, before) if is_nothing else _replace(path, before, after)
    _forget(memory, path)
    back = ", and the one before is back" if value is not None else ""
    return Done(path, True, f"tokentail's status line is gone{back}", backup)


def _read(path: Path) -> str | None:
    """The file's text; None where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokentailError(f"cannot read Claude Code's settings {path}: {error.strerror or error} (nothing was changed)") from error
    if len(data) > _MOST_BYTES:
        raise TokentailError(f"cannot use Claude Code's settings {path}: they are larger than 10 MB (nothing was changed)")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise TokentailError(f"cannot use Claude Code's settings {path}: they are not UTF-8 (nothing was changed; save them so)") from error


def _in_words(path: Path, text: str) -> str | None:
    """The value that stands there, as it is written."""
    try:
        return members.value_of(text, _NAME)
    except ValueError as error:
        raise TokentailError(f"cannot use Claude Code's settings {path}: {error} (nothing was changed; correct the file first)") from None


def _is_ours(value: str) -> bool:
    document = json.loads(value)
    command = document.get("command") if isinstance(document, dict) else None
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError:
        return False
    # A person's own pipe with tokentail in it is theirs.
    return len(words) in (2, 4) and words[-1] == "statusline" and "tokentail" in (os.path.basename(words[0]), words[-2])


def _replace(path: Path, before: str | None, after: str) -> Path | None:
    """Write the file anew, at one stroke, with its mode, and what it was beside it."""
    _make_folder(path)
    backup = None if before is None else _back_up(path, before)
    with whole_file(path, overwrite=True) as part:
        part.write_bytes(after.encode())
        _keep_mode(path, part)
        if _read(path) != before:
            raise TokentailError(f"cannot write Claude Code's settings {path}: they changed meanwhile (try again)")
    return backup


def _remove(path: Path, before: str) -> Path:
    """The file was made by us, and holds nothing any more."""
    backup = _back_up(path, before)
    try:
        path.unlink()
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error
    return backup


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error


def _back_up(path: Path, before: str) -> Path:
    backup = path.with_name(f"{path.name}.before-tokentail")
    with whole_file(backup, overwrite=True) as part:
        part.write_bytes(before.encode())
        _keep_mode(path, part)
    return backup


def _keep_mode(path: Path, part: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        part.chmod(status.st_mode & 0o7777)
        with contextlib.suppress(OSError):  # only the owner of the machine may
            os.chown(part, status.st_uid, status.st_gid)


def _remembered(memory: Path) -> dict[str, _Memory]:
    """What was before, by the real path of the settings; nothing where the file is none of ours."""
    try:
        document = json.loads(memory.read_bytes())
        return {str(path): _Memory(each["value"], bool(each["had_file"])) for path, each in document.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, path: Path, what: _Memory) -> None:
    _write_memory(memory, {**_remembered(memory), os.path.realpath(path): what})


def _forget(memory: Path, path: Path) -> None:
    rest = {each: what for each, what in _remembered(memory).items() if each != os.path.realpath(path)}
    _write_memory(memory, rest)


def _write_memory(memory: Path, what: Mapping[str, _Memory]) -> None:
    _make_folder(memory)
    with whole_file(memory, overwrite=True) as part:
        part.write_text(json.dumps({path: each._asdict() for path, each in what.items()}), encoding="utf-8")
