"""The documents are held against the program: the fields, commands, links, cases, prices and figures that they name."""

from __future__ import annotations

import argparse
import io
import json
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

import sample
from builders import write_logs
from conformance import run
from logs import PRICES, coordinator, line
from tokentail import __version__, database, prices, queries, samples
from tokentail.cli import build_parser, main
from tokentail.export.as_parquet import write_parquet
from tokentail.export.rows import EXPORT_SCHEMA
from tokentail.model import Counts, LogsRead, ReplyChange
from tokentail.periods import utc_text
from tokentail.prices import PICO_PER_USD
from tokentail.reports.as_json import feed_json, report_json
from tokentail.reports.build import KINDS
from tokentail.sources import LocalFolders

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(path for path in (ROOT / "tests").rglob("*.md") if "node_modules" not in path.parts),
    ]
)
JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array of strings": (list,),
    "array of integers": (list,),
    "array of objects": (list,),
}
# The tables of docs/json.md that are about reports, and what they are called in docs/report.schema.json.
REPORT_TABLES: Mapping[str, str] = {
    "Reports": "",
    **{name: f"{name}_row" for name in KINDS},
    "Subagents": "subagents",
    "Each subagent": "agent",
    "Pace": "pace",
    "Models of a row": "model",
    "Counts": "counts",
    "Parts": "parts",
    "Provenance": "provenance",
    "A part": "part",
    "Not final": "not_final",
    "Estimate": "estimate",
    "Notes": "notes",
}
PARTS = ("provenance", "not_final", "estimate")
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
PRICE_TABLES = ("The price list", "Prices", "Sources", "The store", "Models without a price", "Words without a price")
RULES = [f"R{number}" for number in range(1, 11)]


# Reading documents


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """What stands under each heading, up to the next one; code blocks hold no headings."""
    found: dict[str, str] = {}
    heading, fenced = "", False
    for row in text.splitlines():
        fenced ^= row.startswith("```")
        match = None if fenced else re.match(r"#+ (.*)", row)
        if match:
            heading = match[1].strip()
        found[heading] = found.get(heading, "") + ("" if match else f"{row}\n")
    return found


def table(text: str, *heads: str) -> list[list[str]]:
    """The cells of the first table whose headings begin with these, without the headings."""
    lines = iter(text.splitlines())
    for row in lines:
        if row.startswith("|") and tuple(cells(row)[: len(heads)]) == heads:
            next(lines)
            return [cells(each) for each in _while_table(lines)]
    raise AssertionError(f"there is no table with the headings {heads}")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _while_table(lines: Iterator[str]) -> Iterator[str]:
    for row in lines:
        if not row.startswith("|"):
            return
        yield row


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def documented(section: str) -> dict[str, str]:
    """The fields of a table of docs/json.md, with their types, in order."""
    rows = table(sections(text_of("docs/json.md"))[section], "field", "type", "meaning")
    return {row[0].strip("`"): row[1] for row in rows}


def anchors(path: Path) -> set[str]:
    """What a link into the document may name after the #."""
    names = sections(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def links(path: Path) -> list[str]:
    """The targets of links and images, those of the web left out."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`\n]*`", "code", prose)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"[a-z]+:", target)]


def typed_commands(path: Path) -> list[list[str]]:
    """The words of every line that a document tells people to type."""
    found = []
    for block in blocks(path.read_text(encoding="utf-8"), "console"):
        found += [shlex.split(row[2:], comments=True) for row in block.splitlines() if row.startswith("$ ")]
    return found


TYPED = [pytest.param(words, id=" ".join(words)) for path in DOCUMENTS for words in typed_commands(path)]
LINKS = [pytest.param(path, target, id=f"{path.name}:{target}") for path in DOCUMENTS for target in dict.fromkeys(links(path))]


# What the program prints


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A tree with a reply that has a price, one that has none, one that is not final and one line that is broken."""
    project = tmp_path / "logs" / "-home-dev-app"
    project.mkdir(parents=True)
    unpriced = line("msg_2", at="2026-10-02T10:00:00.000Z", model="claude-zeta-9")
    open_ended = line("msg_3", at="2026-10-03T10:00:00.000Z", stop_reason=None)
    (project / "s1.jsonl").write_bytes(line("msg_1") + unpriced + open_ended + b'{"usage": broken\n')
    return tmp_path / "logs"


@pytest.fixture
def report(logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The daily report on these logs."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(logs.parent / "home"))
    assert main(["daily", "--json", f"--source={logs}", "--timezone=UTC"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.fixture
def price_list(logs: Path, report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The price list in use, with what it leaves open in the store of these logs and one line more."""
    with (logs / "-home-dev-app" / "s1.jsonl").open("ab") as log:
        log.write(line("msg_4", usage={"speed": "warp"}))
    main(["daily", "--json", f"--source={logs}", "--timezone=UTC"])
    capsys.readouterr()
    assert main(["prices", "--json", f"--source={logs}"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.fixture
def feed_lines(logs: Path) -> list[dict[str, Any]]:
    """The feed's lines for every reply, for one that a second request of its id split, and for the one that is gone by it."""
    looking = coordinator(logs.parent)
    looking.check_for_updates()
    changes = [ReplyChange(0, "new", reply.key, reply) for reply in queries.replies_since(looking.db, 0)]
    with (logs / "-home-dev-app" / "s1.jsonl").open("ab") as log:
        log.write(line("msg_1", requestId="req_other"))
    changes += looking.check_for_updates().changes
    looking.close()
    return [json.loads(feed_json(change, PRICES)) for change in changes]


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    """Every report on the sample, with all that can be asked for."""
    with sample.sample_store() as (stored, malformed):
        asked = {"breakdown": True, "agents": True, "provenance": True, "not_final": True, "estimate": True}
        made = {name: sample.sample(name, stored, malformed, **asked) for name in KINDS}
    return {name: json.loads(report_json(report._replace(logs_read=LogsRead(1, 2)))) for name, report in made.items()}


def parts_of(reports: Mapping[str, Any], section: str) -> list[dict[str, Any]]:
    """The objects of reports that a section of docs/json.md describes, without the counts that they have besides."""
    rows = [row for report in reports.values() for row in report["rows"]]
    subagents = [row["subagents"] for row in rows if row.get("subagents")]
    each = [agent for together in subagents for agent in together.get("each", ())]
    models = [model for row in rows for model in row.get("models", ())]
    split = [*(report["totals"] for report in reports.values()), *rows]
    match section:
        case "Reports":
            return list(reports.values())
        case "Notes":
            return [report["notes"] for report in reports.values()]
        case "Pace":
            return [row["pace"] for row in rows if row.get("pace")]
        case "Parts":
            return [{name: value for name, value in part.items() if name in PARTS} for part in split]
        case "Provenance":
            return [part["provenance"] for part in split]
        case "A part":
            return [each for part in split for each in part["provenance"].values()]
        case "Not final":
            return [part["not_final"] for part in split]
        case "Estimate":
            return [part["estimate"] for part in split]
        case "Counts":
            whole = [*(report["totals"] for report in reports.values()), *rows, *subagents, *each, *models]
            return [{name: value for name, value in part.items() if name in Counts._fields} for part in whole]
    parts = {"Subagents": subagents, "Each subagent": each, "Models of a row": models}
    found = parts[section] if section in parts else reports[section]["rows"]
    return [{name: value for name, value in part.items() if name not in (*Counts._fields, *PARTS)} for part in found]


def type_of(schema: Mapping[str, Any]) -> str:
    """The type of a field of the schema, in the words of docs/json.md."""
    match schema:
        case {"anyOf": several}:
            return " or ".join(map(type_of, several))
        case {"type": "array", "items": items}:
            return f"array of {type_of(items)}s"
        case {"type": list(several)}:
            return " or ".join(several)
        case {"type": str(name)}:
            return "array of objects" if name == "array" else name
        case {"$ref": str(name)}:
            return type_of(SCHEMA["$defs"][name.removeprefix("#/$defs/")])
    return "string"  # a constant, or one of several


def parts_of_prices(document: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """The objects of the price list that a section of docs/json.md describes."""
    store = document["store"]
    whole = {
        "The price list": [document],
        "Prices": document["prices"],
        "Sources": document["sources"],
        "The store": [store],
        "Models without a price": store["unpriced"],
        "Words without a price": store["assumed"],
    }
    found: list[dict[str, Any]] = whole[section]
    return found


@pytest.fixture
def status(logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The status after a look at these logs, with a copy beside the store and a file that could not be read."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(logs.parent / "home"))
    assert main(["daily", "--json", f"--source={logs}"]) == 0
    (store,) = (logs.parent / "home").glob("*.db")
    store.with_name(f"{store.name}.before-2").write_bytes(b"")
    (logs / "loop.jsonl").symlink_to(logs / "loop.jsonl")
    capsys.readouterr()
    with followed(logs, store):
        assert main(["status", "--json", f"--source={logs}", "--timezone=UTC"]) == 1
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@contextmanager
def followed(logs: Path, store: Path) -> Iterator[None]:
    """Meanwhile the store is followed, and a line was found."""
    stop = threading.Event()
    with closing(coordinator(logs.parent, store=store, source=LocalFolders([logs]))) as live:
        updates = live.follow(stop)
        next(updates)
        (logs / "followed.jsonl").write_bytes(line("msg_followed"))
        next(update for update in updates if update.changes)
        yield
        stop.set()
        list(updates)


STATUS_TABLES: Mapping[str, str] = {  # sections, and where in a status their objects stand
    "Status": "",
    "Folders": "folders",
    "Logs": "logs",
    "Tracked": "tracked",
    "Counted": "counted",
    "The store as a file": "store",
    "Following": "following",
    "Shares": "following",
    "Copies": "copies",
    "The prices in use": "prices",
    "Looks": "looks",
    "Problems": "problems",
}


LIMIT_TABLES = ("Limits", "A limit", "What was said", "The cost of a percent", "A forecast", "A share", "The backtest")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The limits of logs of the last weeks, with one that was said a moment ago, and the backtest."""
    now_ms = int(time.time() * 1000)
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "recent-home"))
    times = [utc_text(now_ms - hour * 3_600_000 - 1000, digits="milliseconds") for hour in range(600)]
    logs = write_logs(tmp_path / "recent", {"-a/s1.jsonl": b"".join(line(f"m{hour}", timestamp=at) for hour, at in enumerate(times))})
    assert main(["daily", f"--source={logs}"]) == 0
    (store,) = (tmp_path / "recent-home").glob("*.db")
    with closing(database.open_to_add(store, wait_ms=1000)) as db:
        samples.keep(db, samples.Heard("s1", 1.0, (samples.Reading("five_hour", 40.0, now_ms + 3_600_000),)), now_ms)
    capsys.readouterr()
    assert main(["limits", "--json", "--backtest", f"--source={logs}"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def limit_parts(limits: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """The objects that a section of docs/json.md describes."""
    (official, *_) = found = limits["limits"]
    inside = {"What was said": "said", "The cost of a percent": "usd_per_percent", "A forecast": "forecast"}
    match section:
        case "Limits":
            return [limits]
        case "A limit":
            return list(found)
        case "A share":
            return [share for each in found for share in each["shares"]]
        case "The backtest":
            return list(limits["backtest"])
    return [official[inside[section]]]


def status_parts(status: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """The objects of a status that a section of docs/json.md describes."""
    found = status[STATUS_TABLES[section]] if STATUS_TABLES[section] else status
    if section == "Shares":
        return [value for value in found.values() if isinstance(value, dict)]
    return [found] if isinstance(found, dict) else [*found, *([status["last_look"]] if section == "Looks" else ())]


def wrong_types(values: dict[str, Any], types: Mapping[str, str]) -> list[str]:
    """The fields whose value is of no type that the document names."""
    return [
        name
        for name, value in values.items()
        if type(value) not in {each for word in types[name].split(" or ") for each in JSON_TYPES[word]}
    ]


# docs/json.md


@pytest.mark.parametrize("section", REPORT_TABLES)
def test_a_report_has_the_documented_fields(section: str, reports: dict[str, Any]) -> None:
    """Every field of the document is printed, every printed field is in the document, in the same order."""
    found = parts_of(reports, section)
    assert found
    fields = list(documented(section))
    assert [[name for name in fields if name in part or name not in ("each", "models")] for part in found] == [list(part) for part in found]
    assert {name for part in found for name in part} == set(fields)


@pytest.mark.parametrize("section", REPORT_TABLES)
def test_a_reports_fields_have_the_documented_types(section: str, reports: dict[str, Any]) -> None:
    """Null stands only where the document says what it means."""
    assert [wrong_types(part, documented(section)) for part in parts_of(reports, section)] == [[]] * len(parts_of(reports, section))


@pytest.mark.parametrize(("section", "name"), REPORT_TABLES.items())
def test_the_schema_has_the_documented_fields(section: str, name: str) -> None:
    """In the same order and of the same types."""
    fields = (SCHEMA["$defs"][name] if name else SCHEMA)["properties"]
    assert {field: type_of(each) for field, each in fields.items()} == documented(section)
    assert list(fields) == list(documented(section))


def test_the_schema_names_no_other_objects() -> None:
    """Whatever has fields there has a table in the document."""
    named = {name for name, each in SCHEMA["$defs"].items() if "properties" in each}
    assert named == set(REPORT_TABLES.values()) - {""}


def test_a_feed_line_has_the_documented_fields(feed_lines: list[dict[str, Any]]) -> None:
    """A line of the feed is its own fields and then the counts, whatever happened to the reply."""
    fields = [*documented("The feed"), *documented("Counts")]
    assert [list(each) for each in feed_lines] == [fields] * len(feed_lines)


def test_a_feed_lines_fields_have_the_documented_types(feed_lines: list[dict[str, Any]]) -> None:
    """Null stands only in the line of a reply that is gone, and for an unknown cost."""
    types = documented("The feed") | documented("Counts")
    assert [wrong_types(each, types) for each in feed_lines] == [[]] * len(feed_lines)
    nulls = {each["event"] for each in feed_lines if each["at"] is None}
    assert nulls == {"gone"}


@pytest.mark.parametrize("section", STATUS_TABLES)
def test_a_status_has_the_documented_fields(section: str, status: dict[str, Any]) -> None:
    """In the same order, with the types that the document names."""
    parts = status_parts(status, section)
    assert parts
    assert [list(part) for part in parts] == [list(documented(section))] * len(parts)
    assert [wrong_types(part, documented(section)) for part in parts] == [[]] * len(parts)


@pytest.mark.parametrize("section", LIMIT_TABLES)
def test_limits_have_the_documented_fields(section: str, limits: dict[str, Any]) -> None:
    """In the same order, with the types that the document names."""
    parts = limit_parts(limits, section)
    assert parts
    assert [list(part) for part in parts] == [list(documented(section))] * len(parts)
    assert [wrong_types(part, documented(section)) for part in parts] == [[]] * len(parts)


def test_the_documented_events_are_those_of_the_feed(feed_lines: list[dict[str, Any]]) -> None:
    """No event is printed that the document does not explain."""
    events = {row[0].strip("`") for row in table(sections(text_of("docs/json.md"))["The feed"], "event", "means")}
    assert {each["event"] for each in feed_lines} <= events
    assert events == {"new", "grown", "corrected", "gone"}


@pytest.mark.parametrize("section", PRICE_TABLES)
def test_the_price_list_has_the_documented_fields(section: str, price_list: dict[str, Any]) -> None:
    """Every field of the document is printed, every printed field is in the document, in the same order, with its type."""
    parts, types = parts_of_prices(price_list, section), documented(section)
    assert parts
    assert [list(part) for part in parts] == [list(types)] * len(parts)
    assert [wrong_types(part, types) for part in parts] == [[]] * len(parts)


def test_the_schemas_are_the_documented_ones(
    report: dict[str, Any],
    feed_lines: list[dict[str, Any]],
    price_list: dict[str, Any],
    status: dict[str, Any],
    limits: dict[str, Any],
) -> None:
    """Whoever raises a schema's number says so where its fields are explained."""
    named = re.findall(r"^\| `schema` \| string \| `(.*)` \|$", text_of("docs/json.md"), re.MULTILINE)
    assert named == [report["schema"], feed_lines[0]["schema"], price_list["schema"], status["schema"], limits["schema"]]


def test_the_examples_have_the_documented_fields() -> None:
    """The examples are what the program prints today."""
    example, feed_line = map(json.loads, blocks(text_of("docs/json.md"), "json"))
    for section in ("Reports", "daily", "Counts", "Notes"):
        fields = [name for name in documented(section) if name not in ("models", *LogsRead._fields)]
        assert all(list(part) == fields for part in parts_of({"daily": example}, section))
    assert list(feed_line) == [*documented("The feed"), *documented("Counts")]


# docs/export.md


def test_an_export_has_the_documented_columns(tmp_path: Path) -> None:
    """All of them, in the same order, with the types that a Parquet file names."""
    write_parquet([], (file := io.BytesIO()), prices="")
    schema = pyarrow.parquet.read_schema(io.BytesIO(file.getvalue()))
    rows = table(text_of("docs/export.md"), "column", "Parquet", "meaning")
    assert [(row[0].strip("`"), row[1]) for row in rows] == [(field.name, str(field.type)) for field in schema]
    assert [name for name in schema.names if schema.field(name).nullable] == [row[0].strip("`") for row in rows if "null" in row[2]]
    assert f"`{EXPORT_SCHEMA}`" in text_of("docs/export.md")


# README.md


def test_the_sample_table_has_todays_columns(
    logs: Path, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table in the README is one that the program still prints."""
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["daily", f"--source={logs}", "--timezone=UTC"]) == 0
    headings = capsys.readouterr().out.splitlines()[0].split()
    assert [row.split() for block in blocks(text_of("README.md"), "console") for row in block.splitlines() if row.startswith("Day ")] == [
        headings
    ]


# docs/reports.md


@pytest.mark.parametrize("name", KINDS)
def test_every_option_of_a_report_is_explained(name: str) -> None:
    """Who finds one in the help can read what it means."""
    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    options = {option for action in commands.choices[name]._actions for option in action.option_strings if option.startswith("--")}
    assert [option for option in options - {"--help"} if not re.search(f"`(?:{name} )?{option}\\b", text_of("docs/reports.md"))] == []
    assert f"`{name}`" in text_of("docs/reports.md")


# docs/counting.md


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_its_section(rule: str) -> None:
    """A comment that names a rule can be looked up."""
    assert [name for name in sections(text_of("docs/counting.md")) if name.startswith(f"{rule}: ")]


def test_the_edge_cases_name_their_conformance_cases() -> None:
    """Each row of the table links to all cases of its edge and to no other."""
    rows = table(text_of("docs/counting.md"), "edge", "lines")
    named = {int(row[0]): re.findall(r"\[`([\w-]+)`\]", row[-1]) for row in rows}
    cases = [(case["edge"], case["id"]) for case in run.load_cases() if case["edge"] is not None]
    assert named == {edge: sorted(name for number, name in cases if number == edge) for edge, _ in cases}


def test_the_price_list_is_the_one_that_ships() -> None:
    """The document shows the newest rates of each model, and whether it has a fast mode."""
    newest: dict[str, tuple[float, ...]] = {}
    fast: dict[str, float] = {}
    for row in prices.load().models():
        rate = row.rate
        if row.above_tokens:
            continue
        if row.speed:
            fast[row.model] = rate.input * 10**6 / PICO_PER_USD / newest[row.model][0]
        elif row.until_day is None:
            usd = (rate.input, rate.output, rate.cache_write_5m, rate.cache_write_1h, rate.cache_read)
            newest[row.model] = tuple(each * 10**6 / PICO_PER_USD for each in usd)
    rows = table(text_of("docs/counting.md"), "model", "input")
    assert {row[0]: tuple(map(float, row[1:6])) for row in rows} == newest
    assert {row[0]: float(row[6].strip("× ")) for row in rows if row[6] != "–"} == fast


# docs/cli.md


def test_documents_made_from_the_program_are_current() -> None:
    """Who changes a command, an option or a setting runs `python scripts/make_docs.py`."""
    ran = subprocess.run([sys.executable, "scripts/make_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


def test_the_plot_of_scale_is_current() -> None:
    """docs/scale.svg is drawn from docs/scale.csv, whose figures stand in docs/scale.md, too."""
    ran = subprocess.run([sys.executable, "scripts/scale_plot.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


def test_every_environment_variable_is_explained() -> None:
    """What the program asks the environment for stands in docs/cli.md, and nothing else does."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    asked = set(re.findall(r"environ(?:ment)?(?:\.get\(|\[)\"(\w+)\"", code))
    named = {row[0].strip("`") for row in table(sections(text_of("docs/cli.md"))["Environment"], "variable", "means")}
    assert asked == named


# All documents


@pytest.mark.parametrize("words", TYPED)
def test_a_command_to_type_exists(words: list[str]) -> None:
    """What a document tells people to type is a command with these options, a target of `make`, or a script that is there."""
    match words:
        case ["tokentail", *arguments]:
            assert callable(build_parser().parse_args(arguments).run)
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", text_of("Makefile"), re.MULTILINE)
        case ["python", script, *_]:
            assert (ROOT / script).is_file()
        case ["pip" | "pipx", "install", "."] | ["uv", "tool", "install", "."]:
            assert (ROOT / "pyproject.toml").is_file()
        case ["pip", "install", extra] if extra.startswith(".["):
            assert f"\n{extra[2:-1]} = [" in text_of("pyproject.toml").partition("[project.optional-dependencies]")[2]
        case _:
            pytest.fail(f"nobody knows whether this works: {' '.join(words)}")


@pytest.mark.parametrize(("path", "target"), LINKS)
def test_a_link_leads_somewhere(path: Path, target: str) -> None:
    """A link names a file of the checkout, and a heading that is in it."""
    name, _, anchor = target.partition("#")
    found = (path.parent / name) if name else path
    assert found.exists()
    assert not anchor or anchor in anchors(found)


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_no_figure_is_missing(name: str) -> None:
    """Every figure was measured and filled in."""
    assert re.findall(r"<!-- figure: [\w-]+ -->", text_of(name)) == []


def test_the_changelog_has_this_version() -> None:
    """Who updates can read what changed; the newest version is the first one."""
    versions = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == __version__


@pytest.mark.parametrize("text", ["| 0 | x |", "# h\n| a | b |\n|---|---|\n| 1 | 2 |\n"])
def test_a_table_that_is_not_there_is_missed(text: str) -> None:
    """A document whose table was renamed does not pass for an empty one."""
    with pytest.raises(AssertionError, match="no table"):
        table(text, "field", "type")
