"""
The only place that knows what a price file looks like: it takes one apart and refuses what is wrong in it.

Each function takes a part of the file and `where` that part stands; ValueError says what is wrong there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Set
from datetime import date
from itertools import pairwise, product
from math import gcd, prod

from tokentail.prices.book import (
    CLASSES,
    EPOCH,
    FAR_AHEAD,
    LONG_AGO,
    PICO_PER_USD,
    STANDARD,
    Book,
    Factor,
    Model,
    Price,
    Rates,
    Speed,
    Tier,
)
from tokentail.prices.names import normalise

SCHEMA = "tokentail/prices/1"
# A JSON number of 15 digits is the same number after whatever reads it as floating point: no price has more.
_MAX_PICO = 10**15  # a token
_MAX_PROMPT = 10**9  # tokens; no model takes longer ones


def read(data: bytes) -> Book:
    """
    The list in a file that holds `data`.

    Raises:
        ValueError: it does not follow the schema; the message says where.
    """
    return _read_book(_parsed(data))


def as_of(data: bytes) -> date | None:
    """The day of the list in a file, without a look at the rest."""
    return _read_as_of(_object(_parsed(data), "the file"))


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data, parse_float=str, parse_constant=str, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _read_book(document: object) -> Book:
    top = _object(document, "the file")
    if "schema" not in top:
        raise ValueError("it names no schema, so it is no price list of tokentail")
    if top["schema"] != SCHEMA:
        raise ValueError(f"its schema is {_said(top['schema'])}, and this tokentail reads {SCHEMA!r}")
    _check_fields(top, "the file", {"schema", "made_from", "sources", "web_search", "batch", "us", "models"}, {"about", "as_of"})
    sources = {key: _read_source(value, f"sources.{key}") for key, value in _object(top["sources"], "sources").items()}
    search = _fields(top["web_search"], "web_search", {"usd_per_1000", "sources"})
    batch, us = (_fields(top[name], name, {"factor", "sources"}) for name in ("batch", "us"))
    terms = (("web_search", search), ("batch", batch), ("us", us))
    models: dict[str, Model] = {}
    book = Book(
        made_from=_text(top["made_from"], "made_from"),
        as_of=_read_as_of(top),
        sources=sources,
        web_search=whole(number(search["usd_per_1000"], "web_search.usd_per_1000"), PICO_PER_USD // 1000, "web_search.usd_per_1000"),
        batch=number(batch["factor"], "batch.factor"),
        us=number(us["factor"], "us.factor"),
        term_sources={where: _read_sources(part, where, sources) for where, part in terms},
        thresholds=(),
        models=models,
    )
    for name, value in _object(top["models"], "models").items():
        models[name] = _read_model(name, value, book)
    tiers = (tier for model in models.values() for price in model.prices for tier in price.tiers)
    return book._replace(thresholds=tuple(sorted({tier.above_tokens for tier in tiers} - {0})))


def _read_as_of(top: Mapping[str, object]) -> date | None:
    return date.fromordinal(EPOCH + _read_day(top["as_of"], "as_of")) if "as_of" in top else None


def _read_source(value: object, where: str) -> tuple[str, str, str, str]:
    source = _fields(value, where, {"title"}, {"version", "page", "read"})
    title, version, page, read = (_text(source.get(key, ""), f"{where}.{key}") for key in ("title", "version", "page", "read"))
    return title, version, page, read


def _read_sources(part: Mapping[str, object], where: str, known: Collection[str]) -> tuple[str, ...]:
    keys = tuple(_text(key, f"{where}.sources") for key in _list(part["sources"], f"{where}.sources"))
    for key in keys:
        if key not in known:
            raise ValueError(f"{where}.sources: {_said(key)} is not among the sources")
    return keys


def _read_model(name: str, value: object, book: Book) -> Model:
    where = f"models.{_cut(name)}"
    if normalise(name) != name:
        raise ValueError(f"{where}: the list's name for this model is {_said(normalise(name))}")
    part = _fields(value, where, {"prices", "us_factor"}, {"fast"})
    if not isinstance(part["us_factor"], bool):
        raise ValueError(f"{where}.us_factor: {_said(part['us_factor'])} is neither true nor false")
    model = Model(
        prices=tuple(_read_price(each, f"{where}.prices[{n}]", book) for n, each in enumerate(_list(part["prices"], f"{where}.prices"))),
        fast=tuple(_read_fast(each, f"{where}.fast[{n}]", book) for n, each in enumerate(_list(part.get("fast", []), f"{where}.fast"))),
        us=part["us_factor"],
    )
    if not model.prices or model.prices[-1].until_day != FAR_AHEAD:
        raise ValueError(f"{where}.prices: the last price must have no end")
    if any(before.until_day != after.first_day for before, after in pairwise(model.prices)):
        raise ValueError(f"{where}.prices: a price must start on the day on which the one before it ends")
    if any(before.until_day > after.first_day for before, after in pairwise(model.fast)):
        raise ValueError(f"{where}.fast: two multipliers for one day")
    check_exact(model, where, book)
    return model


def _read_price(value: object, where: str, book: Book) -> Price:
    part = _fields(value, where, {"rates", "sources"}, {"from", "until", "long_context"})
    tiers = [Tier(0, _read_rates(part["rates"], f"{where}.rates"))]
    for n, each in enumerate(_list(part.get("long_context", []), f"{where}.long_context")):
        inner = f"{where}.long_context[{n}]"
        tier = _fields(each, inner, {"above", "rates"})
        above = tier["above"]
        if type(above) is not int or not tiers[-1].above_tokens < above < _MAX_PROMPT:
            raise ValueError(f"{inner}.above: {_said(above)} is not a number of tokens above {tiers[-1].above_tokens}")
        tiers.append(Tier(above, _read_rates(tier["rates"], f"{inner}.rates")))
    return Price(*_read_days(part, where), tuple(tiers), _read_sources(part, where, book.sources))


def _read_rates(value: object, where: str) -> Rates:
    part = _fields(value, where, set(CLASSES))
    return tuple(whole(number(part[name], f"{where}.{name}"), PICO_PER_USD // 10**6, f"{where}.{name}") for name in CLASSES)


def _read_fast(value: object, where: str, book: Book) -> Speed:
    part = _fields(value, where, {"multiplier", "sources"}, {"from", "until"})
    factor = number(part["multiplier"], f"{where}.multiplier")
    return Speed("fast", *_read_days(part, where), factor, _read_sources(part, where, book.sources))


def _read_days(part: Mapping[str, object], where: str) -> tuple[int, int]:
    first = _read_day(part["from"], f"{where}.from") if "from" in part else LONG_AGO
    until = _read_day(part["until"], f"{where}.until") if "until" in part else FAR_AHEAD
    if first >= until:
        raise ValueError(f"{where}: it ends before it starts")
    return first, until


def _read_day(value: object, where: str) -> int:
    try:
        return date.fromisoformat(_text(value, where)).toordinal() - EPOCH
    except ValueError:
        raise ValueError(f"{where}: {_said(value)} is not a day (as in 2026-03-13)") from None


def check_exact(model: Model, where: str, book: Book) -> None:
    """Every rate that the list can give is a whole number of pico-dollars, and not beyond all measure."""
    rates = {rate for price in model.prices for tier in price.tiers for rate in tier.rates}
    us = ((1, 1), book.us) if model.us else ((1, 1),)
    batch = ((1, 1), book.batch) if model.batch else ((1, 1),)
    for factors in product([speed.factor for speed in (STANDARD, *model.fast)], us, batch):
        numerator, denominator = prod(factor[0] for factor in factors), prod(factor[1] for factor in factors)
        if any(rate * numerator % denominator for rate in rates):
            raise ValueError(f"{where}: with all factors a token's price is not a whole number of 1e-12 USD (it has too many decimals)")
        if max(rates) * numerator >= _MAX_PICO * denominator:
            raise ValueError(f"{where}: with all factors a million tokens cost USD 1,000,000,000 or more")


def number(value: object, where: str) -> Factor:
    """A number of the file, exactly."""
    if type(value) is int and 0 <= value < 10**6:
        return value, 1
    # JSON numbers with a point arrive as the text they were written as, so nothing is rounded on the way.
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError(f"{where}: {_said(value)} is not a number like 6.25")
    before, _, decimals = value.partition(".")
    numerator, denominator = int(before + decimals), 10 ** len(decimals)
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


_DECIMAL = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")


def whole(number: Factor, unit: int, where: str) -> int:
    """So many pico-dollars, where the number counts `unit` of them."""
    numerator, denominator = number
    if numerator * unit % denominator:
        raise ValueError(f"{where}: the price is not a whole number of 1e-12 USD (it has too many decimals)")
    return numerator * unit // denominator


def _fields(value: object, where: str, needed: Set[str], allowed: Set[str] = frozenset()) -> Mapping[str, object]:
    part = _object(value, where)
    _check_fields(part, where, needed, allowed)
    return part


def _check_fields(part: Mapping[str, object], where: str, needed: Set[str], allowed: Set[str]) -> None:
    if part.keys() == needed:
        return
    for name in sorted(needed - part.keys()):
        raise ValueError(f"{where}: {name!r} is missing")
    for name in sorted(part.keys() - needed - allowed):
        raise ValueError(f"{where}: {_said(name)} is no field of the schema")


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
        raise ValueError(f"{where}: {_said(value)} is not a text")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{_said(next(name for name in names if names.count(name) > 1))} stands twice in one object")
    return result


def _said(value: object) -> str:
    """What stands in a file, for a message."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"
