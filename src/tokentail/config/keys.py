"""The only place that lists the keys of the settings: what each one means, what it may be, and how its value is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tokentail import addresses, periods
from tokentail.config import BUDGET_PERIODS, HIDEABLE, MAX_INTERVAL_S, MEASURES, ROUNDINGS, STATUSLINE_NAMES, WEEKDAYS
from tokentail.config.toml import Decimal, shown
from tokentail.errors import UsageError

KeyPath: TypeAlias = tuple[str, ...]

MAX_ALIAS = 100  # characters
MAX_MODEL = 200
MAX_TEMPLATE = 300
MAX_TEXT = 4_000
MAX_DECIMALS = 5  # of a rate: half of it, which is the price in a batch, is then a whole number of 1e-12 USD for a token


class Key(NamedTuple):
    name: str  # with its tables: `blocks.rounding`; a * stands for a name that the person chooses
    read: Callable[[object], object]  # gives the value as `Config` holds it; ValueError: a hint in brackets, or nothing
    values: str  # what it may be
    meaning: str
    default: str = ""  # in words, where it does not stand in `Config`
    is_needed: bool = False

    @property
    def path(self) -> KeyPath:
        return tuple(self.name.split("."))


def nearest(word: str, names: Collection[str]) -> str | None:
    """The name that was perhaps meant."""
    import difflib  # only for a file with a mistake

    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word[:100].lower(), lowered, n=1)
    return lowered[near[0]] if near else None


def project_name(name: str) -> str:
    """What an alias is for: a slug as it is, a folder as a whole path. ValueError says what else it is."""
    if not name.strip():
        raise ValueError(" (write a project's slug or its folder)")
    return _folder(name) if "/" in name or name.startswith("~") else name


def model_name(name: str) -> str:
    """The name of a model, as it is. ValueError: it is too long, or nothing."""
    if not name.strip() or len(name) > MAX_MODEL:
        raise ValueError(f" (a model's name has 1 to {MAX_MODEL} characters)")
    return name


def budget_name(name: str) -> str:
    """What a person calls a budget. ValueError: it is too long, or nothing."""
    if not name.strip() or len(name) > MAX_ALIAS:
        raise ValueError(f" (a budget's name has 1 to {MAX_ALIAS} characters)")
    return name


def _zone(value: object) -> str:
    name = _text(value)
    try:
        periods.parse_zone(name or None)
    except UsageError:
        import zoneinfo

        raise ValueError(_hint(name, zoneinfo.available_timezones())) from None
    return name


def _one_of(words: Collection[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        word = _text(value)
        if word not in words:
            raise ValueError(_hint(word, words))
        return word

    return read


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _sources(value: object) -> tuple[Path | str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_source(_text(each)) for each in value)


def _source(word: str) -> Path | str:
    """A folder, or a bucket."""
    return _bucket(word) if "://" in word else Path(_folder(word))


def _bucket(word: str) -> str:
    try:
        return str(addresses.parse(word))
    except ValueError as error:
        raise ValueError(f" ({error})") from error


def _seconds(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_INTERVAL_S:
        raise ValueError
    return value


def _endpoint(value: object) -> str:
    word = _text(value)
    scheme, _, rest = word.partition("://")
    if word and (scheme not in ("https", "http") or not rest or not word.isascii() or not word.isprintable() or " " in word):
        raise ValueError
    return word


def _alias(value: object) -> str:
    name = _text(value)
    if not name.strip() or len(name) > MAX_ALIAS:
        raise ValueError
    return name


def _template(value: object) -> str:
    template = _text(value)
    if not template.strip() or len(template) > MAX_TEMPLATE or not template.isprintable():
        raise ValueError
    if len(template.split("}")) != len(template.split("{")):
        raise ValueError(" (each { has its })")
    for piece in template.split("{")[1:]:
        name, end, rest = piece.partition("}")
        if name not in STATUSLINE_NAMES or not end or "}" in rest:
            raise ValueError(_hint(name, STATUSLINE_NAMES) or f" (there is no place {{{name[:30]}}})")
    return template


def _rate(value: object) -> str:
    return _number(value, digits=6)


def _threshold(value: object) -> str:
    return _number(value, digits=12)


def _number(value: object, *, digits: int) -> str:
    """A number as decimal text, with at most so many digits before the point."""
    text = str(value) if isinstance(value, Decimal) or (type(value) is int and abs(value) < 10**digits) else ""
    whole, _, decimals = text.replace("_", "").removeprefix("+").partition(".")
    if not f"{whole}{decimals}".isdecimal() or len(whole) > digits or len(decimals) > MAX_DECIMALS:
        raise ValueError
    return f"{whole}.{decimals}".rstrip("0").rstrip(".") if decimals else whole


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(_is_usable(_text(each)) for each in value):
        raise ValueError
    return tuple(map(str, value))


def _program(value: object) -> tuple[str, ...]:
    words = _texts(value)
    if words and not words[0].strip():
        raise ValueError
    return words


def _webhook(value: object) -> str:
    """A URL, or where one is kept."""
    word = _text(value)
    if word.startswith("env:") and word[4:].isidentifier():
        return word
    if word.startswith("file:"):
        return f"file:{_folder(word[5:])}"
    scheme, _, rest = word.partition("://")
    if word and (
        scheme not in ("https", "http") or not rest.partition("/")[0] or not word.isascii() or not word.isprintable() or " " in word
    ):
        raise ValueError
    return word


def _file(value: object) -> str:
    return _folder(word) if (word := _text(value)) else ""


def _label(value: object) -> str:
    word = _text(value)
    if len(word) > MAX_ALIAS or not (word.isprintable() or not word):
        raise ValueError
    return word


def _hidden(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(each in HIDEABLE for each in value):
        raise ValueError
    return tuple(dict.fromkeys(value))


def _is_usable(text: str) -> bool:
    """Can it be handed to a program, or name something?"""
    return len(text) <= MAX_TEXT and "\0" not in text


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError
    return value


def _folder(text: str) -> str:
    """A whole path, without a `~`, a `..` or a slash at its end."""
    path = os.path.expanduser(text)
    if not os.path.isabs(path) or "\0" in path:
        raise ValueError(f" ({shown(text)} is no whole path; that begins with / or ~/)")
    return os.path.normpath(path)


def _hint(word: str, words: Collection[str]) -> str:
    near = nearest(word, words)
    return f' (did you mean "{near}"?)' if near else ""


def _words(words: Collection[str]) -> str:
    *most, last = (f'"{word}"' for word in words)
    return f"{', '.join(most)} or {last}"


_USD = f"a number from 0 to 999999, with at most {MAX_DECIMALS} decimals"
KEYS = (
    Key(
        "timezone",
        _zone,
        'an IANA name like "Europe/Berlin", or "" for the machine\'s zone',
        "The time zone whose midnights divide the days.",
    ),
    Key("week_starts", _one_of(WEEKDAYS), 'a day from "monday" to "sunday"', "The first day of a week."),
    Key(
        "sources",
        _sources,
        'a list of folders and buckets, like ["~/logs", "s3://team/logs"]',
        "What is read; [] stands for the usual places.",
    ),
    Key(
        "remote.interval_s",
        _seconds,
        f"a number from 1 to {MAX_INTERVAL_S}",
        "How often buckets are listed while one follows, in seconds.",
    ),
    Key(
        "remote.endpoint",
        _endpoint,
        'an address that begins with https:// or http://, or ""',
        "The server that is asked for buckets, where it is not the cloud's own; else as AWS_ENDPOINT_URL and the like say.",
    ),
    Key("remote.anonymous", _bool, "true or false", "Whether buckets are asked without credentials."),
    Key(
        "remote.profile",
        _label,
        f"a text of at most {MAX_ALIAS} characters",
        "The profile of ~/.aws to use; else as AWS_PROFILE says.",
    ),
    Key("blocks.rounding", _one_of(ROUNDINGS), '"hour", "10min" or "none"', "To what the start of a five-hour window is rounded down."),
    Key("projects.worktrees", _bool, "true or false", "Whether the worktrees of one repository are shown as one project."),
    Key(
        "projects.aliases.*", _alias, f"a text of 1 to {MAX_ALIAS} characters", "The name to show for the project with this slug or folder."
    ),
    Key("prices.models.*.input", _rate, _USD, "USD for a million input tokens of the model with this name.", is_needed=True),
    Key("prices.models.*.output", _rate, _USD, "USD for a million output tokens.", is_needed=True),
    Key("prices.models.*.cache_read", _rate, _USD, "USD for a million tokens read from the cache.", "0.1 × input"),
    Key("prices.models.*.cache_write_5m", _rate, _USD, "USD for a million tokens written to the cache for 5 minutes.", "1.25 × input"),
    Key("prices.models.*.cache_write_1h", _rate, _USD, "USD for a million tokens written to the cache for an hour.", "2 × input"),
    Key(
        "statusline.template",
        _template,
        f"a text of 1 to {MAX_TEMPLATE} characters, with places like {{today}}",
        "What the status line shows, in parts that are left out where something in them is unknown (docs/statusline.md).",
    ),
    Key("budgets.*.measure", _one_of(MEASURES), _words(MEASURES), "What the budget with this name is about.", is_needed=True),
    Key(
        "budgets.*.threshold",
        _threshold,
        f"a number from 0 to 999999999999, with at most {MAX_DECIMALS} decimals",
        "What the measure must not reach: USD, tokens, USD an hour, % of a limit. Below which a cache hit rate must not fall: percent.",
        is_needed=True,
    ),
    Key(
        "budgets.*.period",
        _one_of(BUDGET_PERIODS),
        _words(BUDGET_PERIODS),
        'In which time. A burn rate is always that of the last hour; of a limit "block" means the one of 5 hours, "week" that of 7 days.',
        '"day", of a limit "block"',
    ),
    Key("budgets.*.projects", _texts, 'a list of names, like ["shop", "old-*"]', "Only what these projects use; [] stands for all.", "[]"),
    Key("budgets.*.models", _texts, 'a list of names, like ["*opus*"]', "Only what these models use; [] stands for all.", "[]"),
    Key("budgets.*.hosts", _texts, 'a list of names, like ["this", "ci-*"]', "Only what these machines use; [] stands for all.", "[]"),
    Key("budgets.*.users", _texts, 'a list of names, like ["anna"]', "Only what these people's machines use; [] stands for all.", "[]"),
    Key("budgets.*.desktop", _bool, "true or false", "Whether a crossing is shown as a notification on the desktop.", "false"),
    Key(
        "budgets.*.webhook",
        _webhook,
        'an address that begins with https:// or http://, or where it is kept: "env:NAME" or "file:/path"',
        "Where a crossing is sent to, as JSON.",
        '""',
    ),
    Key(
        "budgets.*.command",
        _program,
        'a list of a program and its arguments, like ["say", "{message}"]',
        "What is run at a crossing.",
        "[]",
    ),
    Key(
        "webhooks.secret_file",
        _file,
        'a whole path, or ""',
        "The file, for your eyes only, with what webhooks are signed with; TOKENTAIL_WEBHOOK_SECRET goes before it.",
    ),
    Key(
        "fleet.url",
        _endpoint,
        'an address that begins with https:// or http://, or ""',
        "The central store that `tokentail push` sends to (docs/fleet.md).",
    ),
    Key(
        "fleet.token_file",
        _file,
        'a whole path, or ""',
        "The file, for your eyes only, with this machine's token; TOKENTAIL_PUSH_TOKEN goes before it.",
    ),
    Key("fleet.user", _label, f"a text of at most {MAX_ALIAS} characters", 'Whose usage this is, there; "" stands for who runs it.'),
    Key(
        "fleet.host", _label, f"a text of at most {MAX_ALIAS} characters", 'What this machine is called there; "" stands for its host name.'
    ),
    Key(
        "fleet.site_key_file",
        _file,
        'a whole path, or ""',
        "The file, for your eyes only, with the key that hides names; TOKENTAIL_SITE_KEY goes before it.",
    ),
    Key(
        "fleet.hidden",
        _hidden,
        'a list of "project", "user" and "host"',
        "Which names travel as a hash that only the site's key can make; with a key, [] stands for project and user.",
    ),
    Key(
        "fleet.ca_file",
        _file,
        'a whole path, or ""',
        "The certificates that the central store's one is checked with, where it is not the system's.",
    ),
    Key("fleet.certificate_file", _file, 'a whole path, or ""', "This machine's own certificate, for mutual TLS."),
    Key("fleet.key_file", _file, 'a whole path, or ""', "The key of that certificate, where it stands in a file of its own."),
)
