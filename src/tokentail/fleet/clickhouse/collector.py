"""The only place that knows what an OpenTelemetry Collector writes into ClickHouse, and how records are had out of that, in SQL alone."""

from __future__ import annotations

from collections.abc import Iterator

from tokentail.fleet import wire
from tokentail.fleet.clickhouse.schema import KEY, SAID, Layout, quoted
from tokentail.interned import OWNER_COLUMNS
from tokentail.model import RULES_VERSION

TABLE = "otel_logs"  # the exporter's own name for it

_TEXTS = {
    "group_text": "message.group",
    "request_id": "request_id",
    "model": "model",
    "version": "app.version",
    "session": "session.id",
    "project": "project",
    "agent": "agent.id",
}
_COUNTS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "thinking": "thinking_tokens",
    "web_searches": "web_searches",
    "flags": "flags",
}
_TRUTHS = ("sidechain", "stopped", "final", "copied", "subagent")
_NAMES = (*_TEXTS, "user", "host")
_RECORD = (*KEY, *SAID, "at_ms", "final", "web_searches", "owner")

# Every text in the form, keys too, with its quotes; one of them alone is read back by the JSON functions.
_STRING = r"""(?:"(?:[^"\\\\]|\\\\.)*")"""
_QUOTED = f"'{_STRING}'"
_SAID_IN = rf"arrayMap(each -> JSONExtractString(concat('[', each, ']'), 1), extractAll(filled, {_QUOTED}))"
_WITHOUT_TEXTS = f"replaceRegexpAll(filled, {_QUOTED}, '')"
_BRACKETS = rf"replaceRegexpAll({_WITHOUT_TEXTS}, '[^\\[\\]{{}}]', '')"
_KEYS = "arrayMap(number -> JSONKey(filled, number), range(1, JSONLength(filled) + 1))"
_EXTRAS = r"'\x7Fextras'"
_WHOLE_EXTRAS = rf"'^(|\\[(\\[{_STRING},\\[[0-9]{{1,16}}(,[0-9]{{1,16}}){{4}}\\]\\],?)*\\])$'"
_IS_WORD = r"lengthUTF8(each) <= 40 AND NOT match(each, '[\\x00-\\x20\\x7F]')"


def statements(layout: Layout, table: str = TABLE) -> Iterator[str]:
    """
    Views that bring what arrives in the exporter's table into ours, as it arrives.

    Args:
        table: the exporter's; with its database and a dot before it where that is not ours.
    """
    for name, query in (("records", records(table)), ("folders", folders(table))):
        view = layout.table(f"{name}_collected")
        yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view}{layout.on_cluster} TO {layout.table(name)} AS {query}"


def catching_up(layout: Layout, table: str = TABLE) -> Iterator[str]:
    """What brings in all that is in the exporter's table already; done again it changes nothing."""
    yield f"INSERT INTO {layout.table('records')} ({', '.join(_RECORD)}) {records(table)}"
    yield f"INSERT INTO {layout.table('folders')} (project, least) {folders(table)}"


def records(table: str = TABLE) -> str:
    """The query of the records in the exporter's table: those that a hub would take, and no others."""
    return f"SELECT {', '.join(_RECORD)} FROM ({_read(table)}) WHERE {_sound()}"


def folders(table: str = TABLE) -> str:
    """The query of what projects are called there."""
    return f"SELECT project, (at_ms, folder) AS least FROM ({_read(table)}) WHERE folder != '' AND {_sound()}"


def _read(table: str) -> str:
    """
    Log records by our names. Whatever they hold, nothing here fails: an error would keep all logs of the company from being stored.

    The exporter writes numbers and truths as text, and the moment 0 where the wire has none.
    """
    texts = [f"LogAttributes['{said}'] AS {name}" for name, said in _TEXTS.items()]
    counts = [f"LogAttributes['{said}'] AS {name}_said, toUInt64OrZero({name}_said) AS {name}" for name, said in _COUNTS.items()]
    truths = [f"LogAttributes['{name}'] AS {name}_said, toUInt8({name}_said = 'true') AS {name}" for name in _TRUTHS]
    columns = (
        *texts,
        *("ResourceAttributes['user.name'] AS user", "ResourceAttributes['host.name'] AS host"),
        *counts,
        *truths,
        "LogAttributes['at_ms'] AS at_said",
        "toUnixTimestamp64Nano(Timestamp) AS at_ns",
        f"if(at_said = '', intDiv(at_ns, {wire.PER_MS}), toInt64OrZero(at_said)) AS at_ms",
        "LogAttributes['project.folder'] AS folder",
        "LogAttributes['usage.form'] AS form",
        r"translate(form, '\x01\x02\x03\x04\x05\x06\x07', '0000000') AS filled",
        f"JSONExtract(filled, {_EXTRAS}, 'Array(Tuple(String, Array(UInt64)))') AS more",
        f"({', '.join(OWNER_COLUMNS)}) AS owner",
    )
    place = ".".join(map(quoted, table.split(".")))
    return f"SELECT {', '.join(columns)} FROM {place} WHERE {_OURS}"


_OURS = " AND ".join(
    (
        f"ResourceAttributes['service.name'] = '{wire.SERVICE}'",
        f"ResourceAttributes['tokentail.rules'] = '{RULES_VERSION}'",
        f"ScopeName = '{wire.SCOPE}'",
        f"ScopeVersion = '{wire.SCOPE_VERSION}'",
    )
)


def _sound() -> str:
    """The condition that `wire.check` is in Python."""
    return " AND ".join(
        (
            *(f"{name} != ''" for name in ("group_text", "model", "session")),
            *(f"lengthUTF8({name}) <= {wire.LONGEST} AND isValidUTF8({name})" for name in _NAMES),
            *(rf"position({name}, '\0') = 0" for name in ("user", "host")),
            f"lengthUTF8(folder) <= {wire.LONGEST_FOLDER} AND isValidUTF8(folder)",
            *(f"match({name}_said, '^[0-9]{{0,16}}$') AND {name} <= {wire.MOST_COUNT}" for name in _COUNTS),
            "flags <= 255",
            *(f"{name}_said IN ('', 'true', 'false')" for name in _TRUTHS),
            "match(at_said, '^(|-?[0-9]{1,15})$')",
            f"(at_said != '' OR at_ns % {wire.PER_MS} = 0)",
            f"at_ms BETWEEN 0 AND {wire.MOST_MS}",
            _is_form(),
        )
    )


def _is_form() -> str:
    """The condition that `wire.is_form` is in Python: a JSON object of words and numbers, and no prose."""
    is_known = f"each = {_EXTRAS} OR arrayExists(extra -> extra.1 = each, more)"
    return " AND ".join(
        (
            f"lengthUTF8(form) <= {wire.LONGEST_FORM} AND isValidUTF8(form)",
            "isValidJSON(filled) AND JSONType(filled) = 'Object'",
            rf"NOT match({_WITHOUT_TEXTS}, '[^0-9a-zA-Z.+\\-\\[\\]{{}},:]')",
            f"arraySort(arrayDistinct({_KEYS})) = {_KEYS}",
            r"NOT match(form, '(^|[^:,\\[])[\\x01-\\x07]|[\\x01-\\x07]([^,}\\]]|$)')",
            rf"arrayAll(each -> NOT match(each, '[\\x01-\\x07]'), extractAll(form, {_QUOTED}))",
            f"{_peeled(_BRACKETS, wire.MOST_LEVELS)} = ''",
            f"match(JSONExtractRaw(filled, {_EXTRAS}), {_WHOLE_EXTRAS})",
            f"arrayAll(extra -> lengthUTF8(extra.1) <= {wire.LONGEST} AND arrayMax(extra.2) <= {wire.MOST_COUNT}, more)",
            f"arrayAll(each -> ({_IS_WORD}) OR {is_known}, {_SAID_IN})",
        )
    )


def _peeled(brackets: str, times: int) -> str:
    """Brackets without the innermost pairs, so many times: nothing is left of what is no deeper than that."""
    return brackets if not times else rf"replaceRegexpAll({_peeled(brackets, times - 1)}, '\\[\\]|\\{{\\}}', '')"
