"""The only place that knows the settings: what they are called, what they may be, their defaults, and the file that a person writes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from tokentail.errors import ConfigError

MAX_INTERVAL_S = 86_400  # between two listings of buckets
MAX_BYTES = 1_000_000  # of the file, which is read at the start of a command

Weekday: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Rounding: TypeAlias = Literal["hour", "10min", "none"]
Measure: TypeAlias = Literal["cost", "tokens", "burn_rate", "cache_hit_rate", "limit"]
BudgetPeriod: TypeAlias = Literal["hour", "block", "day", "week", "month"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# What may stand in braces in the template of the status line; a kind of limit with `_left` is the time until it begins anew.
STATUSLINE_NAMES = (
    *("model", "session", "today", "burn", "context", "five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet"),
    *("five_hour_left", "seven_day_left", "seven_day_opus_left", "seven_day_sonnet_left"),
)
ROUNDINGS: tuple[Rounding, ...] = ("hour", "10min", "none")
MEASURES: tuple[Measure, ...] = ("cost", "tokens", "burn_rate", "cache_hit_rate", "limit")
BUDGET_PERIODS: tuple[BudgetPeriod, ...] = ("hour", "block", "day", "week", "month")
Hideable: TypeAlias = Literal["project", "user", "host"]
HIDEABLE: tuple[Hideable, ...] = ("project", "user", "host")
LIMIT_PERIODS: tuple[BudgetPeriod, ...] = ("block", "week")


class Blocks(NamedTuple):
    rounding: Rounding = "hour"


class Statusline(NamedTuple):
    template: str = "{session} | {today} today | {burn}/h | 5h {five_hour} | 7d {seven_day} | ctx {context}"


class Alias(NamedTuple):
    project: str  # its slug, or its folder as a whole path
    name: str


class Projects(NamedTuple):
    worktrees: bool = False
    aliases: tuple[Alias, ...] = ()


class ModelRates(NamedTuple):
    """What a model costs: USD for a million tokens, as decimal texts like `0.25`, because nothing may be rounded."""

    model: str
    input: str
    output: str
    cache_read: str
    cache_write_5m: str
    cache_write_1h: str


class Prices(NamedTuple):
    models: tuple[ModelRates, ...] = ()


class Budget(NamedTuple):
    """A rule that is crossed when its measure reaches the threshold; of the cache hit rate when it falls below."""

    name: str
    measure: Measure
    threshold: str  # as a decimal text: USD, tokens, USD an hour, or percent
    period: BudgetPeriod = "day"
    projects: tuple[str, ...] = ()  # names, whole or with wildcards; without one all of them
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()  # of machines that send to this one, see `machines`
    users: tuple[str, ...] = ()
    desktop: bool = False
    webhook: str = ""  # a URL, or where it is kept: `env:NAME`, `file:/path`
    command: tuple[str, ...] = ()  # a program and its arguments


class Webhooks(NamedTuple):
    secret_file: str = ""  # what webhooks are signed with, where the environment has none; a whole path


class Remote(NamedTuple):
    """How logs in buckets are read; what is left out is as the cloud's own tools have it."""

    interval_s: int = 60  # between two listings while somebody follows
    endpoint: str = ""  # of a server of one's own
    anonymous: bool = False
    profile: str = ""  # of ~/.aws


class Fleet(NamedTuple):
    """How this machine's records reach a central store, and by which names."""

    url: str = ""
    token_file: str = ""  # where the environment has none; a whole path, like the ones below
    user: str = ""  # "": who runs it
    host: str = ""  # "": the machine's own name
    site_key_file: str = ""
    hidden: tuple[Hideable, ...] = ()  # none: with a site key, projects and users
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


class Config(NamedTuple):
    """All settings; `Config()` has their defaults. `config.keys` says what each one means."""

    timezone: str = ""  # "": the machine's
    week_starts: Weekday = "monday"
    sources: tuple[Path | str, ...] = ()  # whole paths and addresses of buckets; none: the usual places
    remote: Remote = Remote()
    blocks: Blocks = Blocks()
    projects: Projects = Projects()
    prices: Prices = Prices()
    statusline: Statusline = Statusline()
    budgets: tuple[Budget, ...] = ()
    webhooks: Webhooks = Webhooks()
    fleet: Fleet = Fleet()


def config_path(environment: Mapping[str, str]) -> Path:
    """`$TOKENTAIL_CONFIG`, or `config.toml` in the platform's folder for settings."""
    if given := environment.get("TOKENTAIL_CONFIG"):
        return Path(os.path.expanduser(given))
    import platformdirs  # not needed by those who set TOKENTAIL_CONFIG

    return Path(platformdirs.user_config_dir("tokentail", appauthor=False), "config.toml")


def load(path: Path) -> Config:
    """
    The settings in that file; where there is no file, the defaults.

    Raises:
        ConfigError: the file cannot be used; the error holds everything that is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise ConfigError(path, [f"{error.strerror} (TOKENTAIL_CONFIG can name another file)"]) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(path, ["the file is larger than 1 MB (settings are a page or two: is it the right file?)"])
    # Most people have no file, and this takes some milliseconds.
    from tokentail.config import reading, toml

    try:
        document = toml.parse(data)
    except ValueError as error:
        raise ConfigError(path, [str(error)]) from error
    found = reading.Reading(document)
    if found.problems:
        raise ConfigError(path, found.problems)
    return found.config()
