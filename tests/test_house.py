"""The house rules that no tool checks: what files may say, what the lock holds, what the documents mention."""

from __future__ import annotations

import argparse
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tokentail import __version__
from tokentail.cli import build_parser

ROOT = Path(__file__).resolve().parents[1]

# Written so that this file does not match itself.
REGISTRY_HOSTS = re.compile(
    r"\bpypi[.]org|pythonhosted[.]org|registry[.](?:npmjs[.]org|yarnpkg[.]com)|deb[.]debian[.]org|crates[.]io|proxy[.]golang[.]org"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:work|root|tmp/w)/|(?<![\w.~-])/opt/(?:wheels|pypi)")


def repository_files() -> list[Path]:
    """Every file that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    return [path for name in sorted(set(listed.split("\0")) - {""}) if (path := ROOT / name).is_file()]


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in repository_files()
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), start=1)
        if pattern.search(line)
    ]


def requirements(text: str) -> dict[str, list[str]]:
    """The entries of a lock: `name==version` and its hashes."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    return {words[0]: words[1:] for line in joined.splitlines() if (words := line.split())}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def commands(parser: argparse.ArgumentParser) -> dict[str, str | None]:
    """Each command that a person can type, with its line of help."""
    found: dict[str, str | None] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= dict.fromkeys(action.choices)
            found |= {choice.dest: choice.help for choice in action._choices_actions}
    return found


COMMANDS = commands(build_parser())


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the business of whoever installs."""
    assert lines_that_match(REGISTRY_HOSTS) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    """A checkout works wherever it lies."""
    assert lines_that_match(MACHINE_PATHS) == []


def test_the_lock_has_nothing_but_versions_and_hashes() -> None:
    """Each package has one exact version and at least one hash, and no option or address stands beside it."""
    lock = requirements((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    odd = [
        name
        for name, hashes in lock.items()
        if not re.fullmatch(r"[a-z0-9-]+==[\w.!+]+", name)
        or not hashes
        or not all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)
    ]
    assert odd == []


def test_the_lock_has_all_that_the_project_asks_for() -> None:
    """Who adds a dependency runs `make lock`; what only Windows needs is not in a lock made on Linux."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {normal(re.split(r"[^\w.-]", each, maxsplit=1)[0]) for each in asked if "win32" not in each}
    locked = {name.partition("==")[0] for name in requirements((ROOT / "constraints.txt").read_text(encoding="utf-8"))}
    assert names - locked == set()


@pytest.mark.parametrize("target", ["run", "test", "test-all", "check", "clean", "help"])
def test_make_has_a_target(target: str) -> None:
    """What a newcomer types after cloning; `make help` lists it."""
    assert re.search(rf"^{target}:.*## \w", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_readme_mentions_the_command(name: str) -> None:
    """A command that nobody can read about does not exist."""
    assert re.search(rf"(?:tokentail |`){name}\b", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_command_has_a_line_of_help(name: str) -> None:
    """`tokentail --help` says of each command what it does."""
    assert COMMANDS[name], f"tokentail {name} has no help"


def test_the_program_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`tokentail --version` names the version of the package."""
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["--version"])
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out
