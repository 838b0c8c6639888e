"""Counting without a store: what one log line says, and what tokens cost."""

from __future__ import annotations

import os
from datetime import datetime
from functools import cache
from pathlib import Path

from tokentail import config, database, periods
from tokentail.errors import UsageError
from tokentail.formats import FORMATS
from tokentail.library.values import Cost, ParsedLine, record_of, usd
from tokentail.model import LogFile, Tokens
from tokentail.prices import PriceList, in_use, load

_BOM = b"\xef\xbb\xbf"


def parse_line(line: bytes | str, *, path: str | os.PathLike[str] = "") -> ParsedLine:
    """
    The usage in one line of a log, however odd the line is; nothing in most lines, which carry none.

    A reply is written as several lines with growing counts. Do not add them up: of those that share a `group` the one with the
    greatest `tokens.output` holds, but for replays and ids that serve several requests (R3). A store goes by all the rules.

    Args:
        line: with or without its line end.
        path: the log's path, which names the project and, for a subagent, its session.
    """
    data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    data = data.removesuffix(b"\n").removesuffix(b"\r").removeprefix(_BOM)
    file = LogFile(os.fspath(path), "", os.fspath(path).lstrip("/"), 0, 0, 0, 0, 0)
    records = []
    malformed = ""
    for agent in FORMATS:
        if agent.mark in data:
            parsed = agent.line_parser(len(data))(data, file)
            records += [record_of(entry) for entry in parsed.entries]
            malformed = malformed or parsed.malformed
    return ParsedLine(records=tuple(records), malformed=malformed)


def price(
    *,
    model: str,
    tokens: Tokens,
    at: datetime,
    web_searches: int = 0,
    speed: str = "",
    geo: str = "",
    service_tier: str = "",
    prices: str | os.PathLike[str] | None = None,
) -> Cost | None:
    """
    What the tokens of one request cost at list price; None where no price is known.

    All tokens of a request go in one call: the price of a long prompt depends on all of it.

    Args:
        at: when the request was made, aware.
        prices: a price list to go by, instead of the one that the command line goes by, as it is at the first call.

    Raises:
        UsageError: `at` has no time zone.
        ConfigError: the settings cannot be used.
        TokentailError: the price list cannot be used.
    """
    if at.tzinfo is None:
        raise UsageError(f"cannot price a request at {at}: the time has no zone (give an aware datetime)")
    listed = _in_use(database.home_folder(os.environ), config.config_path(os.environ)) if prices is None else load(Path(prices))
    rate = listed.rate(
        model,
        periods.at_ms(at),
        prompt_class=listed.prompt_class(tokens.prompt),
        speed=speed,
        geo=geo,
        service_tier=service_tier,
    )
    return None if rate is None else Cost(usd=usd(rate.cost(tokens, web_searches)), is_lower_bound=rate.assumed)


@cache
def _in_use(home: Path, settings: Path) -> PriceList:
    return in_use(home, config.load(settings).prices.models)
