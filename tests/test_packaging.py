"""What people install: the built packages hold all that the program needs, and it runs where nothing else is."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from logs import lines
from tokentail import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "tokentail"
NO_NETWORK = re.compile("Temporary failure in name resolution|NewConnectionError|Max retries exceeded|Network is unreachable")
PROGRAM = """\
import tokentail

with tokentail.open() as tail:
    for row in tail.report("daily", timezone="UTC").rows:
        print(row.day, row.counts.replies)
"""


class Built(NamedTuple):
    wheel: Path
    sdist: Path


class Installed(NamedTuple):
    """An environment with the wheel, the packages that it asks for and nothing else."""

    folder: Path
    home: Path

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, as somebody who has no checkout."""
        environment = {"HOME": str(self.home), "TOKENTAIL_HOME": str(self.home / "stores"), "TZ": "UTC", "LANG": "C.UTF-8"}
        command = [str(self.folder / "bin" / name), *words]
        return subprocess.run(command, cwd=self.home, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(name="built", scope="module")
def fixture_built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both packages, built by the locked tool; nothing is fetched for that."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def build(source: Path, into: Path) -> Built:
    """The packages made from a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--target", "sdist", "--directory", str(into)]
    subprocess.run(command, cwd=source, capture_output=True, check=True)
    (wheel,), (sdist,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return Built(wheel, sdist)


def in_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def in_sdist(sdist: Path) -> set[str]:
    """The files of a source package, without the folder around them."""
    with tarfile.open(sdist) as packed:
        return {member.name.partition("/")[2] for member in packed.getmembers() if member.isfile()}


def in_checkout(*folders: str) -> set[str]:
    """What git knows or would add there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def page() -> set[str]:
    """The files of the page, where scripts/web has built them: not in git, but shipped."""
    return {str(path.relative_to(ROOT)) for path in (PACKAGE / "web" / "static").rglob("*") if path.is_file()}


def needed() -> set[str]:
    """The packages that tokentail needs to run, and those that these need, by their normal names."""
    found: set[tuple[str, str]] = set()  # each with the extras that are asked for
    left = {("tokentail", "")}
    while left:
        name, extra = left.pop()
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                left |= {(normal(requirement.name), each) for each in ("", *requirement.extras)} - found
        found.add((name, extra))
    return {name for name, _ in found} - {"tokentail"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(names: set[str]) -> str:
    """Their entries of constraints.txt: versions and hashes."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    entries = {each.partition("==")[0]: each for each in re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)}
    return "\n".join(entries[name] for name in sorted(names)) + "\n"


# What the packages hold


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    """Each file of the package, byte for byte, with its schema, prices, styles, scripts and the mark that it is typed; no tests."""
    packed = in_wheel(built.wheel)
    package = {name: data for name, data in packed.items() if ".dist-info/" not in name}
    assert package == {name.removeprefix("src/"): (ROOT / name).read_bytes() for name in in_checkout("src") | page()}
    for name in ("py.typed", "schema.sql", "migrations/1.sql", "prices.json", "tui/screen.tcss", "completion/bash.sh"):
        assert f"tokentail/{name}" in package


def test_the_wheel_says_what_it_is(built: Built) -> None:
    """Name, version, licence, command; that it runs anywhere that has Python."""
    packed = in_wheel(built.wheel)
    about = f"tokentail-{__version__}.dist-info"
    assert built.wheel.name == f"tokentail-{__version__}-py3-none-any.whl"
    assert packed[f"{about}/entry_points.txt"].decode().split() == ["[console_scripts]", "tokentail", "=", "tokentail.__main__:run"]
    assert packed[f"{about}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    metadata = packed[f"{about}/METADATA"].decode()
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert (ROOT / "README.md").read_text(encoding="utf-8").strip() in metadata


def test_the_source_package_holds_the_checkout(built: Built) -> None:
    """All that git has, but for what begins with a dot: the tests run from it, and it builds the same wheel."""
    checkout = {name for name in in_checkout() if not any(part.startswith(".") for part in Path(name).parts)}
    assert in_sdist(built.sdist) - {"PKG-INFO", ".gitignore"} == checkout | page()


def test_the_source_package_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    """Whoever packages tokentail from the source package gets what we publish."""
    with tarfile.open(built.sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert in_wheel(build(source, tmp_path / "dist").wheel) == in_wheel(built.wheel)


def test_packages_are_built_alike(built: Built, tmp_path: Path) -> None:
    """Built twice, they are the same to the last byte."""
    again = build(ROOT, tmp_path)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


# An environment with nothing else


@pytest.fixture(name="installed", scope="module")
def fixture_installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an empty environment, with the locked versions of what it needs."""
    folder = tmp_path_factory.mktemp("installed")
    made = Installed(folder / "venv", folder / "home")
    venv.create(made.folder, with_pip=True)
    (folder / "lock.txt").write_text(locked(needed()), encoding="utf-8")
    pip = [str(made.folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for words in (["--require-hashes", "--only-binary", ":all:", "-r", "lock.txt"], ["--no-deps", "--no-index", str(built.wheel)]):
        ran = subprocess.run([*pip, *words], cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode and NO_NETWORK.search(ran.stderr):
            pytest.skip("pip reaches no index here, and the packages that tokentail needs come from one")
        assert ran.returncode == 0, ran.stderr
    log = made.home / ".claude" / "projects" / "-home-dev-app" / "s1.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(lines(1, 3))
    return made


def test_it_runs(installed: Installed) -> None:
    """By its name and as a module."""
    for name, words in (("tokentail", ["--version"]), ("python", ["-m", "tokentail", "--version"])):
        ran = installed.run(name, *words)
        assert (ran.stdout, ran.stderr, ran.returncode) == (f"tokentail {__version__}\n", "", 0)


def test_it_needs_no_other_package(installed: Installed) -> None:
    """All that its parts ask for is there, and the checkout's own packages are not."""
    ran = installed.run("python", "-m", "pip", "check")
    assert ran.returncode == 0, ran.stdout
    listed = json.loads(installed.run("python", "-m", "pip", "list", "--format=json").stdout)
    assert {normal(each["name"]) for each in listed} - {"pip", "setuptools"} == {"tokentail", *needed()}


@pytest.mark.parametrize("words", [["daily"], ["daily", "--no-store"], ["sessions"], ["blocks"]], ids=" ".join)
def test_it_counts(words: list[str], installed: Installed) -> None:
    """With its store and without: schema and prices are found where they were installed."""
    ran = installed.run("tokentail", *words, "--json")
    assert (ran.stderr, ran.returncode) == ("", 0)
    totals = json.loads(ran.stdout)["totals"]
    assert (totals["replies"], totals["output_tokens"], totals["cost_is_lower_bound"]) == (3, 6, False)


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ([], "20"),  # today's overview
        (["--help"], "usage: tokentail"),
        (["verify"], "The logs hold 3 replies"),
        (["completion", "bash"], "# Completion"),
        (["config", "show"], "# These are the defaults"),
        (["demo"], "DEMO: made-up data"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_kind_of_command_runs(words: list[str], begins: str, installed: Installed) -> None:
    """What reads files of the package, too."""
    ran = installed.run("tokentail", *words)
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert ran.stdout.startswith(begins)


def test_the_screen_can_be_drawn(installed: Installed) -> None:
    """Its styles came along."""
    code = "import pathlib; from tokentail.tui import app; print(pathlib.Path(app.__file__).with_name(app.LiveScreen.CSS_PATH).is_file())"
    assert installed.run("python", "-c", code).stdout == "True\n"


def test_the_library_is_there(installed: Installed) -> None:
    """A program that imports it gets typed rows."""
    ran = installed.run("python", "-c", PROGRAM)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("2026-10-01 3\n", "", 0)


@pytest.mark.parametrize(("code", "errors"), [(PROGRAM, 0), (PROGRAM.replace("row.day", "row.week"), 1)], ids=["right", "wrong"])
def test_the_library_is_typed(code: str, errors: int, installed: Installed, tmp_path: Path) -> None:
    """A type checker takes the types of the installed package."""
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--python-executable={installed.folder / 'bin' / 'python'}"]
    environment: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in ("MYPYPATH", "PYTHONPATH")}
    ran = subprocess.run([*command, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ran.stdout.count(": error:"), ran.returncode, ran.stderr) == (errors, errors, "")
