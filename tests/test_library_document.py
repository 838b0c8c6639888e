"""docs/library.md is run: its examples print what stands below them, type-check, and leave no public name out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tokentail
from places import Place, fixture_place  # noqa: F401  # the fixture `place`
from public_api import listing
from tokentail import errors, library

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
NEGATIVE = """\
from datetime import datetime
import tokentail
tokentail.opne()  # wrong
row = tokentail.open().report("daily").rows[0]
row.week  # wrong
row.day = row.day  # wrong
tokentail.open().report("daily", sinse="7d")  # wrong
tokentail.open().report("daily", order="cheapest")  # wrong
tokentail.price(model="m", tokens=(1, 2), at=datetime.now())  # wrong
"""


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """What mypy says of the programs in a folder to somebody who has the package installed."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--config-file=", "."]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src"), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "examples")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=[f"example-{number}" for number in range(1, len(EXAMPLES) + 1)])
def test_an_example_prints_what_stands_below_it(code: str, printed: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Each example is a program of its own."""
    program = compile(code, "docs/library.md", "exec", dont_inherit=True)
    if "follow" in code:
        with place.being_written():
            exec(program, {"__name__": "__main__"})
    else:
        exec(program, {"__name__": "__main__"})
    assert capsys.readouterr().out == printed


def test_no_example_is_left_out() -> None:
    """Every program in the document has what it prints below it."""
    assert DOCUMENT.count("```python\n") == len(EXAMPLES) > 0


@pytest.mark.parametrize("name", tokentail.__all__)
def test_a_public_name_has_an_example(name: str) -> None:
    """A name that nobody can see at work is not public."""
    assert any(re.search(rf"\b{name}\b", code) for code, _ in EXAMPLES)


@pytest.mark.slow
def test_the_examples_type_check(tmp_path: Path) -> None:
    """What a reader copies is clean under `mypy --strict`."""
    for number, (code, _) in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(code, encoding="utf-8")
    ran = checked(tmp_path)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@pytest.mark.slow
def test_a_wrong_program_does_not_type_check(tmp_path: Path) -> None:
    """The types are real: a name, a field, a keyword or a word that is not there is found before the program runs."""
    (tmp_path / "wrong.py").write_text(NEGATIVE, encoding="utf-8")
    lines = {int(found) for found in re.findall(r"^wrong\.py:(\d+): error", checked(tmp_path).stdout, re.MULTILINE)}
    assert lines == {number for number, row in enumerate(NEGATIVE.splitlines(), 1) if row.endswith("# wrong")}


def test_the_public_names_are_the_listed_ones() -> None:
    """A change of the public API is seen: it is made in tests/data/public_api.txt, too (`python tests/public_api.py`)."""
    assert listing() == (ROOT / "tests" / "data" / "public_api.txt").read_text(encoding="utf-8")


def test_all_names_are_given() -> None:
    """What `__all__` lists can be imported, `dir` shows it, and it is what the library has."""
    assert sorted([*library.__all__, "__version__"]) == tokentail.__all__ == sorted(tokentail.__all__)
    assert set(tokentail.__all__) <= set(dir(tokentail))
    assert [name for name in tokentail.__all__ if not hasattr(tokentail, name)] == []


def test_all_errors_are_public() -> None:
    """Whatever is raised can be caught by name."""
    assert {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)} <= {
        *tokentail.__all__
    }


def test_no_public_name_hides_a_module() -> None:
    """`from tokentail import prices` stays the module, whoever imported what before."""
    modules = {path.stem for path in (ROOT / "src" / "tokentail").iterdir()}
    assert modules & set(tokentail.__all__) == set()


def test_an_unknown_name_is_refused() -> None:
    """In the words that Python has for it."""
    with pytest.raises(AttributeError, match="module 'tokentail' has no attribute 'opne'"):
        tokentail.opne  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_is_free(tmp_path: Path) -> None:
    """Nothing of it is loaded before one of its names is used, and the version is none of those."""
    code = "import sys, tokentail; tokentail.__version__; print(*[name for name in sys.modules if name.startswith('tokentail')])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["tokentail"]
