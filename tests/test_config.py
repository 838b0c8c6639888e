"""Tests of `tokentail.config` and of its command: what a file of settings may say, and what is said of one that is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokentail import config
from tokentail.cli import main
from tokentail.config import Alias, Blocks, Budget, Config, Fleet, ModelRates, Prices, Projects, Remote, Statusline, Webhooks, pages
from tokentail.config.keys import KEYS, Key
from tokentail.config.reading import Reading
from tokentail.config.toml import as_toml
from tokentail.errors import ConfigError, UsageError

ROOT = Path(__file__).resolve().parents[1]

# What each kind of value looks like in the file.
LITERALS: Mapping[str, str] = {
    "text": '"some text"',
    "integer": "7",
    "number": "7.5",
    "negative": "-7",
    "not a number": "nan",
    "boolean": "true",
    "day": "2026-10-01",
    "list": "[1]",
    "table": "{ a = 1 }",
}
RIGHT = {
    "projects.worktrees": {"boolean"},
    "remote.interval_s": {"integer"},
    "remote.anonymous": {"boolean"},
    "remote.profile": {"text"},
    "fleet.user": {"text"},
    "fleet.host": {"text"},
    "projects.aliases.*": {"text"},
    "statusline.template": {"text"},
    **{key.name: {"integer", "number"} for key in KEYS if key.name.startswith("prices.")},
    "budgets.*.threshold": {"integer", "number"},
    "budgets.*.desktop": {"boolean"},
}
NEEDED = {"measure": '"cost"'}
ZONE = 'an IANA name like "Europe/Berlin", or "" for the machine\'s zone'
TEMPLATE = "a text of 1 to 300 characters, with places like {today}"
SOURCES = 'sources is a list, and must be a list of folders and buckets, like ["~/logs", "s3://team/logs"]'
HOSTILE = "a\x1b]0;x\x07\r\nb\u202e\u2028\x00c"


@pytest.fixture(name="path")
def in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings of this test are."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(path))
    monkeypatch.setenv("HOME", "/home/dev")
    return path


def read(path: Path, text: str | bytes) -> Config:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load(path)


def problems(path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(path, text)
    return list(raised.value.problems)


def setting(key: Key, literal: str) -> str:
    """A file that gives one key a value; what else its table needs is there, too."""
    *table, name = key.name.replace("*", "x").split(".")
    needed = [each.path[-1] for each in KEYS if each.path[:-1] == key.path[:-1] and each.is_needed and each != key]
    head = f"[{'.'.join(table)}]\n" if table else ""
    return f"{head}{name} = {literal}\n" + "".join(f"{other} = {NEEDED.get(other, '1')}\n" for other in needed)


def is_harmless(text: str) -> bool:
    """Does a terminal take every character of every line as a sign to show?"""
    return all(line.isprintable() for line in text.split("\n"))


# What is in the file


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("timezone", ""),
        ("week_starts", "monday"),
        ("sources", ()),
        ("remote.interval_s", 60),
        ("remote.endpoint", ""),
        ("remote.anonymous", False),
        ("remote.profile", ""),
        ("blocks.rounding", "hour"),
        ("projects.worktrees", False),
        ("statusline.template", "{session} | {today} today | {burn}/h | 5h {five_hour} | 7d {seven_day} | ctx {context}"),
        ("webhooks.secret_file", ""),
        ("fleet.url", ""),
        ("fleet.token_file", ""),
        ("fleet.user", ""),
        ("fleet.host", ""),
        ("fleet.site_key_file", ""),
        ("fleet.hidden", ()),
        ("fleet.ca_file", ""),
        ("fleet.certificate_file", ""),
        ("fleet.key_file", ""),
    ],
)
def test_a_key_has_its_default(name: str, default: object) -> None:
    """A default is a promise, so it stands here a second time."""
    (key,) = [key for key in KEYS if key.name == name]
    assert pages.default_of(key) == default


def test_every_setting_has_a_key() -> None:
    """What `Config` holds is what the documents list, in the same order within a table."""

    def names(value: object, before: str = "") -> Iterator[str]:
        if not isinstance(value, Config | Blocks | Fleet | Projects | Prices | Remote | Statusline | Webhooks):
            yield before
            return
        for field, part in value._asdict().items():
            yield from names(part, f"{before}.{field}".lstrip("."))

    assert set(names(Config())) == {key.name.partition(".*")[0] for key in KEYS}
    assert [key.path[-1] for key in KEYS if key.name.startswith("prices.models.*.")] == list(ModelRates._fields[1:])
    assert [key.path[-1] for key in KEYS if key.name.startswith("budgets.*.")] == list(Budget._fields[1:])


def test_without_a_file_there_are_defaults(path: Path) -> None:
    """Nobody needs a file."""
    assert config.load(path) == Config()


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "[blocks]\n[projects]\n[projects.aliases]\n[prices]\n[prices.models]\n"])
def test_what_is_not_said_is_as_by_default(path: Path, text: str) -> None:
    """A file says only what is to be otherwise."""
    assert read(path, text) == Config()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('timezone = "Europe/Berlin"', Config(timezone="Europe/Berlin")),
        ('timezone = ""', Config()),
        ('week_starts = "sunday"', Config(week_starts="sunday")),
        ('sources = ["/var/logs/", "~/logs"]', Config(sources=(Path("/var/logs"), Path("/home/dev/logs")))),
        ('sources = ["s3://team/logs/", "/a", "gs://b"]', Config(sources=("s3://team/logs", Path("/a"), "gs://b"))),
        ('[blocks]\nrounding = "10min"', Config(blocks=Blocks("10min"))),
        (
            '[remote]\ninterval_s = 5\nendpoint = "http://127.0.0.1:9000"\nanonymous = true\nprofile = "team"',
            Config(remote=Remote(5, "http://127.0.0.1:9000", True, "team")),
        ),
        ('blocks.rounding = "none"', Config(blocks=Blocks("none"))),
        ("[projects]\nworktrees = true", Config(projects=Projects(worktrees=True))),
        ("projects = { worktrees = true }", Config(projects=Projects(worktrees=True))),
        ('statusline.template = "{today} | {model}"', Config(statusline=Statusline("{today} | {model}"))),
    ],
)
def test_a_key_takes_its_value(path: Path, text: str, expected: Config) -> None:
    """The value is what was written; a folder is a whole path."""
    assert read(path, text) == expected


def test_an_alias_is_for_a_slug_or_a_folder(path: Path) -> None:
    """A slug is kept as it is; a folder becomes the whole path that a log names."""
    text = '[projects.aliases]\n"-home-dev-shop" = "shop"\n"~/src/api/" = "the API"\n"/srv/x/../y" = "y"\n"*" = "z"\n'
    aliases = (Alias("-home-dev-shop", "shop"), Alias("/home/dev/src/api", "the API"), Alias("/srv/y", "y"), Alias("*", "z"))
    assert read(path, text).projects.aliases == aliases


def test_rates_that_are_not_given_follow_from_that_of_the_input(path: Path) -> None:
    """Cache reads cost a tenth of the input, writes 1.25 or 2 times as much, as they do on Claude's own list."""
    text = '[prices.models."m-1.5"]\ninput = 3.10\noutput = 15\n'
    assert read(path, text).prices.models == (ModelRates("m-1.5", "3.1", "15", "0.31", "3.875", "6.2"),)


def test_rates_that_are_given_hold(path: Path) -> None:
    """A rate of 0 is a rate."""
    text = "[prices.models.m]\ncache_write_1h = 0.0\ncache_write_5m = 1_000\ncache_read = +0.5\noutput = 0\ninput = 999999.99999\n"
    assert read(path, text).prices.models == (ModelRates("m", "999999.99999", "0", "0.5", "1000", "0"),)


@pytest.mark.parametrize("data", [b'\xef\xbb\xbftimezone = "UTC"\n', b'timezone = "UTC"\r\n[blocks]\r\n'])
def test_a_file_from_another_editor_is_read(path: Path, data: bytes) -> None:
    """A byte order mark and line ends of two bytes are no mistakes."""
    assert read(path, data) == Config(timezone="UTC")


@given(st.decimals(0, 999_999, places=3))
def test_rates_are_exact(rate: Decimal) -> None:
    """Nothing is rounded on the way: the rates are those that decimal arithmetic gives."""
    text = f"[prices.models.m]\ninput = {rate}\noutput = {rate}\n"
    (rates,) = _read_document(text).prices.models
    assert list(map(Decimal, rates[1:])) == [rate, rate, rate / 10, rate * 5 / 4, rate * 2]


def _read_document(text: str) -> Config:
    from tokentail.config import toml

    return Reading(toml.parse(text.encode())).config()


# What is wrong with a file


@pytest.mark.parametrize("kind", LITERALS)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_value_of_the_wrong_kind_is_refused(path: Path, key: Key, kind: str) -> None:
    """The message names the key, what it is and what it may be."""
    text = setting(key, LITERALS[kind])
    if kind in RIGHT.get(key.name, ()):
        assert read(path, text) != Config()
        return
    (problem,) = problems(path, text)
    assert problem.startswith(f"{key.name.replace('*', 'x')} is ")
    assert f", and must be {key.values}" in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'timezone = "Europe/Berln"',
            f'timezone is "Europe/Berln", and must be {ZONE} (did you mean "Europe/Berlin"?)',
        ),
        (
            'week_starts = "Monday"',
            'week_starts is "Monday", and must be a day from "monday" to "sunday" (did you mean "monday"?)',
        ),
        (
            'statusline.template = "{todays}"',
            f'statusline.template is "{{todays}}", and must be {TEMPLATE} (did you mean "today"?)',
        ),
        (
            'statusline.template = "{today"',
            f'statusline.template is "{{today", and must be {TEMPLATE} (each {{ has its }})',
        ),
        ('statusline.template = "\\u001b[31m{today}"', f'statusline.template is "\\u001b[31m{{today}}", and must be {TEMPLATE}'),
        (
            'sources = ["S3://team"]',
            f"{SOURCES} (addresses begin with s3://, gs://, az://)",
        ),
        ("remote.interval_s = 0", "remote.interval_s is 0, and must be a number from 1 to 86400"),
        (
            'remote.endpoint = "127.0.0.1:9000"',
            'remote.endpoint is "127.0.0.1:9000", and must be an address that begins with https:// or http://, or ""',
        ),
        ('blocks.rounding = "2h"', 'blocks.rounding is "2h", and must be "hour", "10min" or "none"'),
        (
            'sources = ["/a", "logs"]',
            f'{SOURCES} ("logs" is no whole path; that begins with / or ~/)',
        ),
        ('[projects.aliases]\na = ""', 'projects.aliases.a is "", and must be a text of 1 to 100 characters'),
        ('[projects.aliases]\na = " "', 'projects.aliases.a is " ", and must be a text of 1 to 100 characters'),
        (
            f'[projects.aliases]\na = "{"x" * 101}"',
            f'projects.aliases.a is "{"x" * 78}…, and must be a text of 1 to 100 characters',
        ),
        (
            '[projects.aliases]\n"work/shop" = "a"',
            'projects.aliases."work/shop" cannot be used ("work/shop" is no whole path; that begins with / or ~/)',
        ),
        ('[projects.aliases]\n"" = "a"', 'projects.aliases."" cannot be used (write a project\'s slug or its folder)'),
        ('[projects.aliases]\n"~/a" = "a"\n"/home/dev/a/" = "b"', 'projects.aliases."/home/dev/a" is named twice'),
        (
            "[projects.aliases]\nmy.shop = 'a'",
            "projects.aliases.my is a table, and must be a text of 1 to 100 characters (a name with dots stands in quotes)",
        ),
        (
            '[prices.models.""]\ninput = 1\noutput = 1',
            'prices.models."" cannot be used (a model\'s name has 1 to 200 characters)',
        ),
        ("[prices.models.m]\ninput = 1", "[prices.models.m] has no output, and needs it"),
        (
            "[prices.models.m]\ninput = 0.0375\noutput = 1",
            "[prices.models.m] has no cache_write_5m, and needs it (1.25 × input has more than 5 decimals)",
        ),
        (
            "[prices.models.m]\ninput = 1\noutput = 1.123456",
            "prices.models.m.output is 1.123456, and must be a number from 0 to 999999, with at most 5 decimals",
        ),
        (
            "[prices.models.m]\ninput = 1\noutput = 1e1",
            "prices.models.m.output is 1e1, and must be a number from 0 to 999999, with at most 5 decimals",
        ),
        (
            '[prices.models.m]\ninput = 1\noutput = "3.5"',
            'prices.models.m.output is "3.5", and must be a number from 0 to 999999, with at most 5 decimals',
        ),
        (
            "[prices.models.m]\ninput = 1\noutput = 1000000",
            "prices.models.m.output is 1000000, and must be a number from 0 to 999999, with at most 5 decimals",
        ),
        (
            "[prices.models.m]\ninput = 1\noutput = 1000000.5",
            "prices.models.m.output is 1000000.5, and must be a number from 0 to 999999, with at most 5 decimals",
        ),
        (
            f"[prices.models.m]\ninput = 1\noutput = 0x{'f' * 50_000}",
            "prices.models.m.output is a very long number, and must be a number from 0 to 999999, with at most 5 decimals",
        ),
        (
            f"[prices.models.{'m' * 201}]\ninput = 1\noutput = 1",
            f"prices.models.{'m' * 65}… cannot be used (a model's name has 1 to 200 characters)",
        ),
        ('timezone = "EUROPE/BERLIN?"', f'timezone is "EUROPE/BERLIN?", and must be {ZONE} (did you mean "Europe/Berlin"?)'),
        (f"timezone = 0x{'f' * 50_000}", f"timezone is a very long number, and must be {ZONE}"),
        (
            'sources = ["/a\\u0000"]',
            f'{SOURCES} ("/a\\u0000" is no whole path; that begins with / or ~/)',
        ),
    ],
)
def test_a_wrong_value_is_refused(path: Path, text: str, problem: str) -> None:
    """The message says what is there, what may be there and, where it can be guessed, what was meant."""
    assert problems(path, text) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('weekstarts = "monday"', 'unknown key "weekstarts" (did you mean "week_starts"?)'),
        ('TimeZone = "UTC"', 'unknown key "TimeZone" (did you mean "timezone"?)'),
        ('TIMEZONE = "UTC"', 'unknown key "TIMEZONE" (did you mean "timezone"?)'),
        ("[block]\n", 'unknown key "block" (did you mean "blocks"?)'),
        ('[blocks]\nround = "hour"', 'unknown key "round" in [blocks] (did you mean "rounding"?)'),
        ('rounding = "hour"', 'unknown key "rounding" (did you mean "rounding", which stands in [blocks]?)'),
        ('[blocks]\ntimezone = "UTC"', 'unknown key "timezone" in [blocks] (did you mean "timezone", which stands above all tables?)'),
        ("[aliases]\n", 'unknown key "aliases" (did you mean "aliases", which stands in [projects]?)'),
        ("[prices.models.m]\ninput = 1\noutput = 1\ncached = 1", 'unknown key "cached" in [prices.models.m] (did you mean "cache_read"?)'),
        ("qqq = 1", 'unknown key "qqq" (`tokentail config show --default` shows all keys)'),
        ('"blocks.rounding" = "hour"', 'unknown key "blocks.rounding" (did you mean "rounding", which stands in [blocks]?)'),
        ('"*" = 1', 'unknown key "*" (`tokentail config show --default` shows all keys)'),
        ('"" = 1', 'unknown key "" (`tokentail config show --default` shows all keys)'),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(path: Path, text: str, problem: str) -> None:
    """A slip of the pen does not pass for a setting that does nothing."""
    assert problems(path, text) == [problem]


def test_a_models_name_with_dots_stands_in_quotes(path: Path) -> None:
    """TOML reads a bare name with dots as tables in one another, which hardly anybody means."""
    found = problems(path, "[prices.models.claude-3.5-haiku]\ninput = 1\noutput = 5\n")
    assert found == [
        "[prices.models.claude-3] has no input, and needs it",
        "[prices.models.claude-3] has no output, and needs it",
        'unknown key "5-haiku" in [prices.models.claude-3] (a name with dots stands in quotes)',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("blocks = 1", "blocks is 1, and must be a table, [blocks]"),
        ("[[blocks]]", "blocks is a list, and must be a table, [blocks]"),
        ("prices.models = 'x'", 'prices.models is "x", and must be a table, [prices.models]'),
        ("[projects]\naliases = [1]", "projects.aliases is a list, and must be a table, [projects.aliases]"),
        ("[prices.models]\n'a b' = 3", 'prices.models."a b" is 3, and must be a table, [prices.models."a b"]'),
        ("[sources]", 'sources is a table, and must be a list of folders and buckets, like ["~/logs", "s3://team/logs"]'),
        ("[blocks.rounding]", 'blocks.rounding is a table, and must be "hour", "10min" or "none"'),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(path: Path, text: str, problem: str) -> None:
    """A table where a value is expected, and the reverse."""
    assert problems(path, text) == [problem]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"timezone = Europe/Berlin\n", "line 1, column 12: invalid value (a text stands in quotes)"),
        (b'\ntimezone "UTC"\n', "line 2, column 10: expected '=' after a key in a key/value pair"),
        (b'timezone = "UTC\n', "line 1, column 16: illegal character '\\n' (a text ends on its line, with the quote that it begins with)"),
        (b'timezone = ""\ntimezone = ""\n', "line 2, column 14: cannot overwrite a value (the same key stands above)"),
        (b"[blocks]\n[blocks]\n", "line 2, column 8: cannot declare [blocks] twice"),
        (b"[projects.aliases]\n[projects.aliases]\n", "line 2, column 18: cannot declare [projects.aliases] twice"),
        (b"sources = [", "end of document: invalid value (a text stands in quotes)"),
        (b"# fine\n# \xff\n", "line 2 is not UTF-8 (save the file as UTF-8)"),
        (b"# \xe2\x80\xa8\n\xff", "line 2 is not UTF-8 (save the file as UTF-8)"),
        (b"x = " + b"[" * 100_000, "its lists and tables are nested too deeply"),
        (b"x = " + b"9" * 10_000, "a number in it has too many digits"),
        (b"\n" + b"a." * 400_000 + b"a = 1", "line 2 has more than 100 dots"),
        (b"#" * 1_000_001, "the file is larger than 1 MB (settings are a page or two: is it the right file?)"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(path: Path, data: bytes, problem: str) -> None:
    """The message says where and, as far as that can be guessed, what to do."""
    assert problems(path, data) == [problem]


def test_dots_in_a_comment_do_no_harm(path: Path) -> None:
    """Some people draw lines with them."""
    assert read(path, f"  # {'.' * 200}\n") == Config()


def test_a_file_of_one_megabyte_is_read(path: Path) -> None:
    """The limit itself is allowed."""
    assert read(path, b"#" * 1_000_000) == Config()


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("folder", "Is a directory (TOKENTAIL_CONFIG can name another file)"),
        ("file/config.toml", "Not a directory (TOKENTAIL_CONFIG can name another file)"),
        ("n" * 300, "File name too long (TOKENTAIL_CONFIG can name another file)"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, place: str, problem: str) -> None:
    """What is there and cannot be read is not taken for a file that is not there."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as raised:
        config.load(tmp_path / place)
    assert raised.value.problems == (problem,)


def test_all_problems_are_told_at_once(path: Path) -> None:
    """Nobody mends one mistake after the other."""
    found = problems(path, 'timezone = 1\nweekstarts = 2\n[blocks]\nrounding = 3\n[projects.aliases]\na = 4\nb = "good"\n')
    assert [re.split(r" is |,| \(", problem)[0] for problem in found] == [
        "timezone",
        'unknown key "weekstarts"',
        "blocks.rounding",
        "projects.aliases.a",
    ]


def test_the_message_names_the_file_and_the_next_step(path: Path) -> None:
    """A command that cannot use the settings says three problems, how many more there are, and ends with exit code 2."""
    path.write_text("".join(f"{name} = 1\n" for name in ("q", "qq", "qqq", "qqqq", "qqqqq")), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        config.load(path)
    hint = "(`tokentail config show --default` shows all keys)"
    assert raised.value.exit_code == 2
    assert str(raised.value) == (
        f'cannot use the settings in {path}: unknown key "q" {hint}; unknown key "qq" {hint}; unknown key "qqq" {hint} and 2 more'
        " (correct them; `tokentail config check` names all that is wrong)"
    )


NAMES = st.sampled_from([*sorted({part for key in KEYS for part in key.path}), "x"]) | st.text(max_size=4)
JSON_LIKE = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=8), st.floats().map(str)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, JSON_LIKE, max_size=6))
def test_no_document_is_too_strange(document: dict[str, object]) -> None:
    """Whatever a document holds, it has problems that can be told or it gives settings that can be written down again."""
    reading = Reading(document)
    assert all(map(is_harmless, reading.problems))
    if not reading.problems:
        pages.in_force(reading.config(), Path("/x"), exists=True)


@given(st.text() | st.lists(st.sampled_from(['"', "'", "[", "]", "=", ".", "\n", "#", "a", "blocks", "1", "{", "}", " "])).map("".join))
@example("a = 1979-13-01")
@example("'''")
def test_no_text_is_too_strange(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Any file gives settings or an error that a person can read."""
    path = tmp_path_factory.getbasetemp() / "strange.toml"
    path.write_bytes(text.encode("utf-8", "replace"))
    told = ["nothing is wrong"]
    try:
        config.load(path)
    except ConfigError as error:
        told = list(error.problems)
    assert told
    assert all(map(is_harmless, told))


# Where the file is


def test_the_variable_names_the_file() -> None:
    """TOKENTAIL_CONFIG goes before the platform's folder."""
    assert config.config_path({"TOKENTAIL_CONFIG": "/etc/tokentail.toml"}) == Path("/etc/tokentail.toml")


def test_the_variable_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that names the variable is not always read by a shell."""
    monkeypatch.setenv("HOME", "/home/dev")
    assert config.config_path({"TOKENTAIL_CONFIG": "~/t.toml"}) == Path("/home/dev/t.toml")


@pytest.mark.skipif(sys.platform != "linux", reason="the folder of another platform is another one")
@pytest.mark.parametrize("environment", [{}, {"TOKENTAIL_CONFIG": ""}])
def test_the_usual_place_is_the_folder_for_settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/dev/.config")
    assert config.config_path(environment) == Path("/home/dev/.config/tokentail/config.toml")


def test_without_a_file_nothing_is_loaded(path: Path) -> None:
    """Who has no settings does not wait for what reads them."""
    program = (
        "import sys, pathlib; from tokentail import config; config.load(pathlib.Path(sys.argv[1]));"
        "print(sorted({'tomllib', 'platformdirs', 'difflib'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


# What is shown


def texts(max_size: int) -> st.SearchStrategy[str]:
    """Any text that a file can hold, and that is more than blanks."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=max_size).filter(lambda text: bool(text.strip()))


FOLDERS = texts(20).map(lambda name: "/" + name.replace("/", "").replace("\0", "").replace(".", "_")).filter(lambda folder: len(folder) > 1)
SLUGS = texts(20).filter(lambda slug: "/" not in slug and not slug.startswith("~"))
RATES = st.decimals(0, 999_999, places=5).map(lambda rate: f"{rate:f}".rstrip("0").rstrip("."))
# An address with a path is not shown in full, so it is not among these.
WAYS = (
    st.booleans(),
    st.sampled_from(["", "https://example.org", "env:HOOK", "file:/home/dev/hook"]),
    st.sampled_from([(), ("say", '{message} $HOME; "x" \x1b[2J')]),
)
BUDGETS = st.builds(
    Budget,
    texts(100),
    st.sampled_from([measure for measure in config.MEASURES if measure not in ("burn_rate", "limit")]),
    RATES,
    st.sampled_from(config.BUDGET_PERIODS),
    st.lists(texts(20).filter(lambda text: "\0" not in text), max_size=2).map(tuple),
    st.lists(st.just("*opus*"), max_size=1).map(tuple),
    *(st.lists(st.sampled_from(["this", "ci-*"]), max_size=2).map(tuple),) * 2,
    *WAYS,
) | st.builds(
    Budget,
    texts(100),
    st.just("limit"),
    st.integers(0, 100).map(str),
    st.sampled_from(config.LIMIT_PERIODS),
    *(st.just(()),) * 4,
    *WAYS,
)
CONFIGS = st.builds(
    Config,
    timezone=st.sampled_from(["", "UTC", "Europe/Berlin", "America/St_Johns"]),
    week_starts=st.sampled_from(config.WEEKDAYS),
    sources=st.lists(FOLDERS.map(Path) | st.sampled_from(["s3://team/logs", "gs://b", "az://c/p/q"]), max_size=3).map(tuple),
    blocks=st.builds(Blocks, st.sampled_from(config.ROUNDINGS)),
    projects=st.builds(
        Projects,
        st.booleans(),
        st.lists(st.builds(Alias, FOLDERS | SLUGS, texts(100)), max_size=4, unique_by=lambda alias: alias.project).map(tuple),
    ),
    prices=st.builds(
        Prices,
        st.lists(st.builds(ModelRates, texts(200), RATES, RATES, RATES, RATES, RATES), max_size=3, unique_by=lambda rates: rates.model).map(
            tuple
        ),
    ),
    statusline=st.builds(
        Statusline, st.lists(st.sampled_from(["{today}", "{model}", " | ", "é ≥", '"\\']), min_size=1).map("".join).filter(str.strip)
    ),
    budgets=st.lists(BUDGETS, max_size=3, unique_by=lambda budget: budget.name).map(tuple),
    remote=st.builds(
        Remote, st.integers(1, 86_400), st.sampled_from(["", "https://s3.example.org"]), st.booleans(), st.sampled_from(["", "team é"])
    ),
    webhooks=st.builds(Webhooks, st.sampled_from(["", "/home/dev/secret"])),
    fleet=st.builds(
        Fleet,
        st.sampled_from(["", "https://hub.example:8484"]),
        *(st.sampled_from(["", value]) for value in ("/home/dev/token", "anna é", "laptop", "/home/dev/key")),
        st.lists(st.sampled_from(config.HIDEABLE), unique=True).map(tuple),
        *(st.sampled_from(["", value]) for value in ("/etc/ca.pem", "/etc/own.pem", "/etc/own.key")),
    ),
)


@given(CONFIGS)
@example(Config(projects=Projects(aliases=(Alias(HOSTILE, HOSTILE),)), prices=Prices((ModelRates(HOSTILE, "0", "0", "0", "0", "0"),))))
def test_what_is_shown_says_the_same(settings: Config) -> None:
    """The settings in force, saved as a file, are the settings in force; no name in them can act on a terminal."""
    shown = pages.in_force(settings, Path("/x/config.toml"), exists=True)
    assert is_harmless(shown)
    assert _read_document(shown) == settings


def test_the_settings_in_force_are_shown_with_their_meaning(path: Path) -> None:
    """Every key has its meaning, what it may be, its default and its value; what differs from its default is marked."""
    path.write_text(
        'week_starts = "sunday"\n[projects.aliases]\nshop = "The shop"\n[prices.models.m]\ninput = 2\noutput = 8\n', encoding="utf-8"
    )
    shown = pages.in_force(config.load(path), Path("/home/dev/config.toml"), exists=True)
    assert shown == (ROOT / "tests" / "data" / "config_show.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://hooks.example.org/services/T0/B0/s3cret", "https://hooks.example.org/..."),
        ("https://user:s3cret@example.org", "https://example.org/..."),
        ("https://example.org?token=s3cret", "https://example.org/..."),
        ("https://example.org", "https://example.org"),
        ("env:MY_HOOK", "env:MY_HOOK"),
        ("file:/home/dev/hook", "file:/home/dev/hook"),
    ],
)
def test_an_address_is_shown_without_its_secrets(path: Path, capsys: pytest.CaptureFixture[str], address: str, shown: str) -> None:
    """Who knows the path of a webhook can often send to it; what is only a place to look it up is shown."""
    path.write_text(f'[budgets.day]\nmeasure = "cost"\nthreshold = 5\nwebhook = "{address}"\n', encoding="utf-8")
    assert main(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert f'webhook = "{shown}"' in out
    assert "s3cret" not in out


def test_a_burn_rate_has_a_period_of_its_own(path: Path) -> None:
    """It is that of the last hour, said or not; another one is a mistake."""
    rule = '[budgets.fast]\nmeasure = "burn_rate"\nthreshold = 9.5\n'
    expected = Config(budgets=(Budget("fast", "burn_rate", "9.5", "hour"),))
    assert read(path, rule) == expected
    assert read(path, rule + 'period = "hour"\n') == expected
    assert problems(path, rule + 'period = "day"\n') == [
        '[budgets.fast] is about a burn rate, whose period is always "hour" (leave the period out)'
    ]


def test_a_limit_is_of_five_hours_or_seven_days(path: Path) -> None:
    """Of five hours where nothing is said; another period, a part of an account and more than all of it are mistakes."""
    rule = '[budgets.plan]\nmeasure = "limit"\nthreshold = 80\n'
    assert read(path, rule) == Config(budgets=(Budget("plan", "limit", "80", "block"),))
    assert read(path, rule + 'period = "week"\n') == Config(budgets=(Budget("plan", "limit", "80", "week"),))
    assert read(path, rule + "projects = []\nmodels = []\n") == Config(budgets=(Budget("plan", "limit", "80", "block"),))
    wrong = rule.replace("80", "100.1") + 'period = "day"\nprojects = ["shop"]\nmodels = ["*opus*"]\n'
    assert problems(path, wrong) == [
        '[budgets.plan] is about a limit, whose period is "block" for the one of 5 hours or "week" for that of 7 days',
        "[budgets.plan] is about a limit, whose threshold is a percentage: at most 100",
        "[budgets.plan] is about a limit, which is of the whole account: projects cannot be told apart (leave them out)",
        "[budgets.plan] is about a limit, which is of the whole account: models cannot be told apart (leave them out)",
    ]


@pytest.mark.parametrize("value", ["ftp://x", "https://", "https:///path", "https://x/\\u001b", "https://x/ y", "env:", "env:a b", "hook"])
def test_a_webhook_is_an_address_or_where_one_is_kept(path: Path, value: str) -> None:
    """Nothing else can be sent to."""
    (problem,) = problems(path, f'[budgets.day]\nmeasure = "cost"\nthreshold = 5\nwebhook = "{value}"\n')
    assert problem.startswith("budgets.day.webhook is ")


def test_the_file_to_start_from_changes_nothing(path: Path) -> None:
    """Whoever saves it has the defaults."""
    assert read(path, pages.template()) == Config()


def test_the_file_to_start_from_has_the_defaults(path: Path) -> None:
    """A setting whose # is taken away says its default; the examples for names of one's own are sound."""
    said = read(path, re.sub(r"^#(?! )", "", pages.template(), flags=re.MULTILINE))
    assert said == Config(
        projects=Projects(aliases=(Alias("/home/dev/src/shop", "shop"),)),
        prices=Prices((ModelRates("my-model", "3", "15", "0.3", "3.75", "6"),)),
        budgets=(Budget("a day", "cost", "20", desktop=True),),
    )


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_file_to_start_from_has_every_key(key: Key) -> None:
    """A key that nobody can read about does not exist."""
    assert key.meaning in pages.template()
    assert re.search(rf"^# {key.path[-1]}: |^#{key.path[-1]} = |^#\"~", pages.template(), re.MULTILINE)


def test_the_document_is_current() -> None:
    """docs/config.md is written by scripts/make_docs.py, from the list of keys."""
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == pages.reference()


# The command


def test_path_is_shown_whether_or_not_there_is_a_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It answers where to write."""
    assert main(["config", "path"]) == 0
    assert capsys.readouterr() == (f"{path}\n", "")


def test_a_path_that_is_no_text_is_shown_harmlessly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that are no UTF-8 and signs that a terminal acts on are replaced."""
    monkeypatch.setenv("TOKENTAIL_CONFIG", "/a\udcff\x1bb")
    assert main(["config", "path"]) == 0
    assert main(["config", "show"]) == 0
    assert main(["config", "check"]) == 0
    assert is_harmless(capsys.readouterr().out)


def test_show_gives_the_settings_of_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line says which file it was."""
    settings = read(path, 'timezone = "Asia/Tokyo"\n')
    assert main(["config", "show"]) == 0
    assert capsys.readouterr() == (pages.in_force(settings, path, exists=True), "")


def test_show_says_that_there_is_no_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The defaults do not come from nowhere."""
    assert main(["config", "show"]) == 0
    assert capsys.readouterr().out.startswith(f"# These are the defaults: there is no {as_toml(path)}.\n")


def test_show_default_needs_no_sound_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who has a broken file can start anew."""
    path.write_text("[", encoding="utf-8")
    assert main(["config", "show", "--default"]) == 0
    assert capsys.readouterr() == (pages.template(), "")


def test_show_of_a_broken_file_says_what_is_wrong(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There are no settings in force then."""
    path.write_text("timezone = 1", encoding="utf-8")
    assert main(["config", "show"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tokentail: cannot use the settings in {path}: timezone is 1, and must be")


def test_check_of_a_sound_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong, in one word."""
    path.write_text('week_starts = "sunday"\n', encoding="utf-8")
    assert main(["config", "check"]) == 0
    assert capsys.readouterr() == ("ok\n", "")


def test_check_without_a_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file is fine, and whoever thinks to have one is told."""
    assert main(["config", "check"]) == 0
    assert capsys.readouterr() == (f"ok: there is no {path}, so every setting has its default\n", "")


def test_check_has_a_line_for_each_problem(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As many as there are, with the file in front; exit code 2."""
    path.write_text("".join(f"q{number} = 1\n" for number in range(20)), encoding="utf-8")
    assert main(["config", "check"]) == 2
    out, err = capsys.readouterr()
    hint = "(`tokentail config show --default` shows all keys)"
    assert out == "".join(f'{path}: unknown key "q{number}" {hint}\n' for number in range(20))
    assert err == ""


def test_hostile_text_of_the_file_does_no_harm(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal would act on is escaped, so a problem stays on its line."""
    text = as_toml(HOSTILE)
    path.write_text(
        f"{text} = 1\ntimezone = {text}\n[projects.aliases]\n{text} = 1\n[prices.models.{text}]\ninput = 'x'\n", encoding="utf-8"
    )
    assert main(["config", "check"]) == 2
    assert main(["config", "show"]) == 2
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert is_harmless(err)
    assert out.count("\n") == 5
    assert text in out


def test_config_needs_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one it says what there is."""
    assert main(["config"]) == 2
    assert "ACTION" in capsys.readouterr().err
