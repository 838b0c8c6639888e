"""
The only place that knows what tokens cost: rates by model and date, out of `prices.json`.

Money is counted in pico-dollars (1e-12 USD): every rate is an integer, also after the factors for fast mode, US-only inference and
batches, and sums do not depend on their order.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Set
from datetime import date
from functools import cache, lru_cache
from itertools import pairwise, product
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tokentail.errors import TokentailError

if TYPE_CHECKING:
    from tokentail.model import Tokens

SCHEMA = "tokentail/prices/1"
SHIPPED = Path(__file__).with_name("prices.json")
PICO_PER_USD = 10**12

# What a log says when nothing special was asked for. A word that is neither here nor in the list costs the same and is flagged.
_PLAIN_SPEED = frozenset({"", "standard"})
_PLAIN_GEO = frozenset({"", "global", "not_available"})
_PLAIN_TIER = frozenset({"", "standard"})

_CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")  # the first fields of Rate
_DAY_MS = 86_400_000  # as in periods, which is not imported here: it brings the time zones along
_EPOCH = date(1970, 1, 1).toordinal()
_LONG_AGO, _FAR_AHEAD = -(10**9), 10**9  # the days of a price without a first or a last one
_MEMO_SIZE = 65_536
_MAX_NAME = 200  # characters; nothing longer names a model

_Rates: TypeAlias = tuple[int, ...]  # pico-dollars a token, one for each of _CLASSES
_Factor: TypeAlias = tuple[int, int]  # numerator and denominator
_Request: TypeAlias = tuple[str, int, int, str, str, str]  # model, day, prompt class, speed, geo, service tier


class Rate(NamedTuple):
    """What one token of each class costs, in pico-dollars (1e-12 USD), with all factors and the long-context price applied."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    web_search: int  # one search
    assumed: bool  # a part of the price is not known and the standard one was taken: the cost is a lower bound

    def cost(self, tokens: Tokens, web_searches: int = 0) -> int:
        """In pico-dollars."""
        return (
            tokens.input * self.input
            + tokens.output * self.output
            + tokens.cache_read * self.cache_read
            + tokens.cache_write_5m * self.cache_write_5m
            + tokens.cache_write_1h * self.cache_write_1h
            + web_searches * self.web_search
        )


class PriceRow(NamedTuple):
    """A line of the list as people read it."""

    model: str
    from_day: date | None  # None: since ever. An earlier request takes the earliest price all the same
    until_day: date | None  # the first day on which it no longer holds
    above_tokens: int  # for prompts longer than this, up to the next row's
    speed: str  # "" or "fast"
    rate: Rate  # worldwide, not in a batch
    us_costs_more: bool  # US-only inference has its own factor
    sources: tuple[str, ...]


class PriceList:
    """
    Rates by model and date.

    Attributes:
        thresholds: every long-context threshold of any model, in prompt tokens, ascending.
        changes_ms: every moment at which a price of any model changes, ascending.
        made_from: what the list was made from, as in "genai-prices 0.2.3".
    """

    def __init__(self, document: object) -> None:
        """
        Take the list out of the parsed file.

        Raises:
            ValueError: the file does not follow the schema; the message says where.
        """
        self._book = _read_book(document)
        self.made_from = self._book.made_from
        tiers = (tier for model in self._book.models.values() for price in model.prices for tier in price.tiers)
        self.thresholds: tuple[int, ...] = tuple(sorted({tier.above_tokens for tier in tiers} - {0}))
        # Between two of these days no price changes, so a rate is looked up once for all days between them.
        days = [(price.first_day, price.until_day) for model in self._book.models.values() for price in model.prices]
        days += [(fast.first_day, fast.until_day) for model in self._book.models.values() for fast in model.fast]
        self._changes = sorted({day for both in days for day in both})
        self.changes_ms = [day * _DAY_MS for day in self._changes if day not in (_LONG_AGO, _FAR_AHEAD)]
        self._memo = lru_cache(maxsize=_MEMO_SIZE)(self._find)

    def prompt_class(self, prompt_tokens: int) -> int:
        """How many thresholds a prompt exceeds; one that is as long as a threshold does not exceed it."""
        return bisect_left(self.thresholds, prompt_tokens)

    def rate(self, model: str, at_ms: int, *, prompt_class: int = 0, speed: str = "", geo: str = "", service_tier: str = "") -> Rate | None:
        """
        The rate of the UTC day of a request; None where no price is known.

        A request older than the model's first price takes that price.

        Raises:
            IndexError: there is no such prompt class in this list.
        """
        changes = bisect_right(self._changes, at_ms // _DAY_MS)
        same_day = self._changes[changes - 1] if changes else _LONG_AGO
        return self._memo((model, same_day, prompt_class, speed, geo, service_tier))

    def models(self) -> Iterator[PriceRow]:
        """Every price of every model, by name; then standard before fast, oldest first, shortest prompt first."""
        for name, model in sorted(self._book.models.items()):
            for speed, price in product((_STANDARD, *model.fast), model.prices):
                yield from self._rows(name, model.us, speed, price)

    def _rows(self, name: str, us: bool, speed: _Speed, price: _Price) -> Iterator[PriceRow]:
        first, until = max(price.first_day, speed.first_day), min(price.until_day, speed.until_day)
        if first >= until:
            return
        sources = tuple(self._book.sources[key] for key in dict.fromkeys(price.sources + speed.sources))
        for tier in price.tiers:
            rate = self._rate(_times(tier.rates, speed.factor), assumed=False)
            yield PriceRow(name, _date(first), _date(until), tier.above_tokens, speed.name, rate, us, sources)

    def _find(self, request: _Request) -> Rate | None:
        model, day, prompt_class, speed, geo, service_tier = request
        found = self._book.models.get(normalise(model))
        if found is None:
            return None
        rates = found.price_on(day).rates_above(self.thresholds[prompt_class - 1] if prompt_class else 0)
        fast = found.fast_on(day) if speed == "fast" else None
        if fast is not None:
            rates = _times(rates, fast.factor)
        if geo == "us" and found.us:
            rates = _times(rates, self._book.us)
        if service_tier == "batch":
            rates = _times(rates, self._book.batch)
        known = (
            (speed in _PLAIN_SPEED or fast is not None)
            and (geo in _PLAIN_GEO or geo == "us")
            and (service_tier in _PLAIN_TIER or service_tier == "batch")
        )
        return self._rate(rates, assumed=not known)

    def _rate(self, rates: _Rates, *, assumed: bool) -> Rate:
        return Rate._make((*rates, self._book.web_search, assumed))


def normalise(model: str) -> str:
    """
    The name that a model has in the list, whichever way it is written.

    Drops what does not change the list price: the path, vendor and region before the name; snapshot, revision and context
    window after it. Brings family and version into the list's order: `claude-sonnet-3.7` is `claude-3-7-sonnet`.
    """
    if len(model) > _MAX_NAME:
        return model
    name = _VENDOR.sub("", model.lower().rpartition("/")[2])
    name = _TAIL.sub("", _DOT.sub("-", name))
    match = _BY_FAMILY.fullmatch(name) or _BY_VERSION.fullmatch(name)
    if match is None:
        return name
    family, major, minor = match["family"], int(match["major"]), int(match["minor"] or 0)
    if major < 4:
        return f"claude-{major}-{minor}-{family}" if minor else f"claude-{major}-{family}"
    # The first models of version 4 are the only ones that the list names with their ".0".
    return f"claude-{family}-{major}-{minor}" if minor or major == 4 else f"claude-{family}-{major}"


@cache
def load(path: Path | None = None) -> PriceList:
    """
    The list in that file, by default the one that ships with tokentail; a file is read once.

    Raises:
        TokentailError: the file cannot be read, or it is no price list.
    """
    path = path or SHIPPED
    try:
        document = json.loads(path.read_bytes(), parse_float=str, parse_constant=str, object_pairs_hook=_unique)
        return PriceList(document)
    except OSError as error:
        raise TokentailError(f"cannot read the price list {path}: {error.strerror or error} (name a file that can be read)") from error
    except (ValueError, RecursionError) as error:
        raise TokentailError(f"cannot use the price list {path}: {error} (correct it, or use the one that ships with tokentail)") from error


# How a model may be written.

_VENDOR = re.compile(r"\A(?:[a-z0-9-]+\.)*anthropic\.")
_DOT = re.compile(r"(?<=[0-9])\.(?=[0-9])")
_TAIL = re.compile(
    r"(?:\[1m\]"  # the context window
    r"|[-@]20[0-9]{6}|[-@]20[0-9]{2}-[0-9]{2}-[0-9]{2}|[-@]latest|@default"  # the snapshot
    r"|-v[0-9]{1,2}(?::[0-9]{1,2})?(?::[0-9]{1,4}k)?"  # the revision, on Bedrock
    r")+\Z"
)
_BY_FAMILY = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>[0-9]{1,2})(?:-(?P<minor>[0-9]{1,2}))?")
_BY_VERSION = re.compile(r"claude-(?P<major>[0-9]{1,2})(?:-(?P<minor>[0-9]{1,2}))?-(?P<family>[a-z]+)")


# The list in memory. A day is a number: days since 1970.


class _Tier(NamedTuple):
    above_tokens: int
    rates: _Rates


class _Price(NamedTuple):
    first_day: int
    until_day: int
    tiers: tuple[_Tier, ...]  # ascending; the first one is above 0
    sources: tuple[str, ...]

    def rates_above(self, threshold: int) -> _Rates:
        """The rates of all tokens of a request whose prompt is longer than the threshold, and no longer than the next one."""
        return next(tier.rates for tier in reversed(self.tiers) if tier.above_tokens <= threshold)


class _Speed(NamedTuple):
    name: str
    first_day: int
    until_day: int
    factor: _Factor
    sources: tuple[str, ...]


_STANDARD = _Speed("", _LONG_AGO, _FAR_AHEAD, (1, 1), ())


class _Model(NamedTuple):
    prices: tuple[_Price, ...]  # oldest first, without a gap, the last one without an end
    fast: tuple[_Speed, ...]
    us: bool

    def price_on(self, day: int) -> _Price:
        return next((price for price in reversed(self.prices) if price.first_day <= day), self.prices[0])

    def fast_on(self, day: int) -> _Speed | None:
        return next((fast for fast in self.fast if fast.first_day <= day < fast.until_day), None)


class _Book(NamedTuple):
    made_from: str
    sources: dict[str, str]
    web_search: int  # pico-dollars a search
    batch: _Factor
    us: _Factor
    models: dict[str, _Model]


def _times(rates: _Rates, factor: _Factor) -> _Rates:
    numerator, denominator = factor
    assert not any(rate * numerator % denominator for rate in rates), "checked when the list was read"
    return tuple(rate * numerator // denominator for rate in rates)


def _date(day: int) -> date | None:
    return None if day in (_LONG_AGO, _FAR_AHEAD) else date.fromordinal(_EPOCH + day)


# Reading the file. Each function takes a part of it and `where` that part stands; ValueError says what is wrong there.


def _read_book(document: object) -> _Book:
    top = _object(document, "the file")
    if top.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {top.get('schema')!r}, and this tokentail reads {SCHEMA!r}")
    _check_fields(top, "the file", {"schema", "made_from", "sources", "web_search", "batch", "us", "models"}, {"about"})
    sources = {key: _read_source(value, f"sources.{key}") for key, value in _object(top["sources"], "sources").items()}
    search = _fields(top["web_search"], "web_search", {"usd_per_1000", "sources"})
    batch, us = (_fields(top[name], name, {"factor", "sources"}) for name in ("batch", "us"))
    for where, part in (("web_search", search), ("batch", batch), ("us", us)):
        _read_sources(part, where, sources)
    book = _Book(
        made_from=_text(top["made_from"], "made_from"),
        sources=sources,
        web_search=_whole(_number(search["usd_per_1000"], "web_search.usd_per_1000"), PICO_PER_USD // 1000, "web_search.usd_per_1000"),
        batch=_number(batch["factor"], "batch.factor"),
        us=_number(us["factor"], "us.factor"),
        models={},
    )
    for name, value in _object(top["models"], "models").items():
        book.models[name] = _read_model(name, value, book)
    return book


def _read_source(value: object, where: str) -> str:
    source = _fields(value, where, {"title"}, {"version", "page", "read"})
    words = [_text(source[key], f"{where}.{key}") for key in ("title", "version", "page", "read") if key in source]
    return ", ".join(words)


def _read_sources(part: Mapping[str, object], where: str, known: Mapping[str, str]) -> tuple[str, ...]:
    keys = tuple(_text(key, f"{where}.sources") for key in _list(part["sources"], f"{where}.sources"))
    for key in keys:
        if key not in known:
            raise ValueError(f"{where}.sources: {key!r} is not among the sources")
    return keys


def _read_model(name: str, value: object, book: _Book) -> _Model:
    where = f"models.{name}"
    if normalise(name) != name:
        raise ValueError(f"{where}: the list's name for this model is {normalise(name)!r}")
    part = _fields(value, where, {"prices", "us_factor"}, {"fast"})
    if not isinstance(part["us_factor"], bool):
        raise ValueError(f"{where}.us_factor: {part['us_factor']!r} is neither true nor false")
    model = _Model(
        prices=tuple(_read_price(each, f"{where}.prices[{n}]", book) for n, each in enumerate(_list(part["prices"], f"{where}.prices"))),
        fast=tuple(_read_fast(each, f"{where}.fast[{n}]", book) for n, each in enumerate(_list(part.get("fast", []), f"{where}.fast"))),
        us=part["us_factor"],
    )
    if not model.prices or model.prices[-1].until_day != _FAR_AHEAD:
        raise ValueError(f"{where}.prices: the last price must have no end")
    if any(before.until_day != after.first_day for before, after in pairwise(model.prices)):
        raise ValueError(f"{where}.prices: a price must start on the day on which the one before it ends")
    if any(before.until_day > after.first_day for before, after in pairwise(model.fast)):
        raise ValueError(f"{where}.fast: two multipliers for one day")
    _check_exact(model, where, book)
    return model


def _read_price(value: object, where: str, book: _Book) -> _Price:
    part = _fields(value, where, {"rates", "sources"}, {"from", "until", "long_context"})
    tiers = [_Tier(0, _read_rates(part["rates"], f"{where}.rates"))]
    for n, each in enumerate(_list(part.get("long_context", []), f"{where}.long_context")):
        inner = f"{where}.long_context[{n}]"
        tier = _fields(each, inner, {"above", "rates"})
        above = tier["above"]
        if type(above) is not int or above <= tiers[-1].above_tokens:
            raise ValueError(f"{inner}.above: {above!r} is not a number of tokens above {tiers[-1].above_tokens}")
        tiers.append(_Tier(above, _read_rates(tier["rates"], f"{inner}.rates")))
    return _Price(*_read_days(part, where), tuple(tiers), _read_sources(part, where, book.sources))


def _read_rates(value: object, where: str) -> _Rates:
    part = _fields(value, where, set(_CLASSES))
    return tuple(_whole(_number(part[name], f"{where}.{name}"), PICO_PER_USD // 10**6, f"{where}.{name}") for name in _CLASSES)


def _read_fast(value: object, where: str, book: _Book) -> _Speed:
    part = _fields(value, where, {"multiplier", "sources"}, {"from", "until"})
    factor = _number(part["multiplier"], f"{where}.multiplier")
    return _Speed("fast", *_read_days(part, where), factor, _read_sources(part, where, book.sources))


def _read_days(part: Mapping[str, object], where: str) -> tuple[int, int]:
    first = _read_day(part["from"], f"{where}.from") if "from" in part else _LONG_AGO
    until = _read_day(part["until"], f"{where}.until") if "until" in part else _FAR_AHEAD
    if first >= until:
        raise ValueError(f"{where}: it ends before it starts")
    return first, until


def _read_day(value: object, where: str) -> int:
    try:
        return date.fromisoformat(_text(value, where)).toordinal() - _EPOCH
    except ValueError:
        raise ValueError(f"{where}: {value!r} is not a day (as in 2026-03-13)") from None


def _check_exact(model: _Model, where: str, book: _Book) -> None:
    """Every rate that the list can give is a whole number of pico-dollars."""
    for price, speed, us, batch in product(model.prices, (_STANDARD, *model.fast), ((1, 1), book.us), ((1, 1), book.batch)):
        numerator, denominator = speed.factor[0] * us[0] * batch[0], speed.factor[1] * us[1] * batch[1]
        if any(rate * numerator % denominator for tier in price.tiers for rate in tier.rates):
            raise ValueError(f"{where}: with all factors a token's price is not a whole number of 1e-12 USD (it has too many decimals)")


def _number(value: object, where: str) -> _Factor:
    # JSON numbers with a point arrive as the text they were written as, so nothing is rounded on the way.
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError(f"{where}: {value!r} is not a number like 6.25")
    whole, _, decimals = text.partition(".")
    numerator, denominator = int(whole + decimals), 10 ** len(decimals)
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def _whole(number: _Factor, unit: int, where: str) -> int:
    numerator, denominator = number
    if numerator * unit % denominator:
        raise ValueError(f"{where}: the price is not a whole number of 1e-12 USD (it has too many decimals)")
    return numerator * unit // denominator


def _fields(value: object, where: str, needed: Set[str], allowed: Set[str] = frozenset()) -> Mapping[str, object]:
    part = _object(value, where)
    _check_fields(part, where, needed, allowed)
    return part


def _check_fields(part: Mapping[str, object], where: str, needed: Set[str], allowed: Set[str]) -> None:
    for name in sorted(needed - part.keys()):
        raise ValueError(f"{where}: {name!r} is missing")
    for name in sorted(part.keys() - needed - allowed):
        raise ValueError(f"{where}: {name!r} is no field of the schema")


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: not a JSON object")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: not a JSON array")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where}: {value!r} is not a text")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return result
