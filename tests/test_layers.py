"""The picture is a test: a module imports only from rows below its own, and ARCHITECTURE.md shows the same rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "tokentail"

# From bottom to top. A folder (formats, reports, ...) is one name. A module that is still to come may have its row already.
ROWS = (
    ("model", "errors", "digest", "spelling"),
    ("periods", "merge", "projects", "atomic", "addresses", "private", "additions"),
    ("sources", "formats", "prices", "database", "lateness", "interned", "summaries", "config", "forgotten", "samples", "machines"),
    ("ledger", "salvage", "provenance", "leader", "sighted", "outbox"),
    ("forget", "passes", "originals", "time_index"),
    ("tracker", "parser", "watcher", "store", "queries", "usage", "census", "recount", "totals"),
    (
        "workers",
        "carryover",
        "joining",
        "commits",
        "checkpoints",
        "sweep",
        "patience",
        "notes",
        "pending",
        "told",
        "estimate",
        "criteria",
        "stretches",
    ),
    ("backlog", "renewal", "following", "one_log", "skim"),
    ("coordinator", "reports", "verify"),
    ("fleet", "backfill", "feed", "parallel", "backup", "export", "status", "limits", "explain"),
    ("budgets",),
    ("tui", "web", "statusline", "demo", "completion"),
    ("demo_run",),
    ("commands", "library"),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, row in enumerate(ROWS) for name in row}

# The independent full re-read proves nothing if it shares code with what it is compared with.
RECOUNT_MAY_IMPORT = {"model", "errors", "periods", "prices"}

# Imports that cost a report tens of milliseconds, and the only names that may make them.
SLOW_IMPORTS = {
    "textual": {"tui"},
    "rich": {"tui"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "pyarrow": {"export"},
    "clickhouse_connect": {"fleet"},
}


def modules() -> list[Path]:
    """Every module but the package's own `__init__`, which holds the version and the names of the library."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    """The name that stands in the picture: the folder's for a module in a folder."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(code: str, *, package: str) -> Iterator[str]:
    """
    The full name of everything that code imports, at its top and inside functions, by statement or by `import_module("...")`.

    `package` is the package that relative imports start from.
    """
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(module, level, package)
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def imported_names(code: str, *, package: str) -> set[str]:
    """The names of the picture that code imports."""
    parts = [name.split(".") for name in imported(code, package=package)]
    found = {part[1] for part in parts if part[0] == "tokentail" and len(part) > 1}
    return {name for name in found if name in LEVEL or (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()}


def imports_that_point_up(name: str, code: str, *, package: str = "tokentail") -> list[str]:
    """What is wrong with a module's imports, a sentence each; a folder may import from itself."""
    others = sorted(imported_names(code, package=package) - {name})
    return [f"{name}.py imports {other}" for other in others if LEVEL.get(other, len(ROWS)) >= LEVEL[name]]


def package_of(path: Path) -> str:
    return ".".join(("tokentail", *path.relative_to(PACKAGE).parts[:-1]))


def rows_in_architecture() -> tuple[tuple[str, ...], ...]:
    """The rows of ARCHITECTURE.md's table whose first column is headed `modules`, from bottom to top."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = re.search(r"^\| *modules *\|.*\n\|[-| :]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, "ARCHITECTURE.md has no table with the heading | modules |"
    first_cells = [line.split("|")[1] for line in table[1].splitlines()]
    return tuple(tuple(re.findall(r"`(\w+)`", cell)) for cell in reversed(first_cells))


def _absolute(module: str | None, level: int, package: str) -> str:
    if level == 0:
        return module or ""
    start = package.split(".")
    return ".".join([*start[: len(start) - level + 1], *([module] if module else [])])


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    """A module imports only from rows below its own; inside a folder, modules may import one another."""
    assert name_of(path) in LEVEL, f"{path.relative_to(ROOT)} has no row in the picture"
    assert imports_that_point_up(name_of(path), path.read_text(encoding="utf-8"), package=package_of(path)) == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_slow_imports_stay_where_they_are_needed(path: Path) -> None:
    """A report starts without the packages of the screen, the page and the export."""
    used = {name.partition(".")[0] for name in imported(path.read_text(encoding="utf-8"), package=package_of(path))}
    assert {name for name in used & SLOW_IMPORTS.keys() if name_of(path) not in SLOW_IMPORTS[name]} == set()


def test_recount_shares_no_code_with_what_it_checks() -> None:
    """The independent full re-read imports nothing but nouns, errors, calendars and rates."""
    code = (PACKAGE / "recount.py").read_text(encoding="utf-8")
    assert imported_names(code, package="tokentail") <= RECOUNT_MAY_IMPORT


def test_the_package_itself_imports_nothing() -> None:
    """
    `import tokentail` is free: everyone may ask for the version.

    The library stands there for type checkers, and is imported when one of its names is used.
    """
    code = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert [name for name in imported(code, package="tokentail") if not name.startswith("tokentail.library")] == [
        *("__future__.annotations", "typing.TYPE_CHECKING")
    ]
    at_once = [node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [node.module for node in at_once if isinstance(node, ast.ImportFrom)] == ["__future__", "typing"]
    assert len(at_once) == 2


def test_architecture_shows_the_same_rows() -> None:
    """Who reads the document and who breaks the test see one picture."""
    assert rows_in_architecture() == ROWS


def test_no_name_stands_in_two_rows() -> None:
    """One place for each thing."""
    assert len(LEVEL) == sum(len(row) for row in ROWS)


@pytest.mark.parametrize(
    "code",
    [
        "import tokentail.coordinator",
        "from tokentail.coordinator import UpdateCoordinator",
        "from tokentail import coordinator",
        "from . import coordinator",
        "from .coordinator import UpdateCoordinator",
        "def later():\n    from tokentail.coordinator import UpdateCoordinator",
        "if TYPE_CHECKING:\n    from tokentail.coordinator import UpdateCoordinator",
        "import importlib\nimportlib.import_module('tokentail.coordinator')",
    ],
)
def test_every_way_to_import_is_seen(code: str) -> None:
    """An import that points up is named as `parser.py imports coordinator`, wherever and however it is written."""
    assert imports_that_point_up("parser", code) == ["parser.py imports coordinator"]


def test_neighbours_do_not_import_each_other() -> None:
    """A row is a row because its modules do not need one another."""
    assert imports_that_point_up("parser", "from tokentail import store, model, __version__") == ["parser.py imports store"]


def test_a_folder_may_import_from_itself() -> None:
    """Many of one kind share what their kind needs."""
    assert imports_that_point_up("formats", "from tokentail.formats import claude\nfrom .claude import parse_line") == []


@pytest.mark.parametrize("code", ["from ..store import Store", "from .. import store"])
def test_a_folder_may_not_reach_up_by_dots(code: str) -> None:
    """A relative import is read from where it stands."""
    assert imports_that_point_up("sources", code, package="tokentail.sources") == ["sources.py imports store"]
