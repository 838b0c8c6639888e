"""The price list in use as JSON; the field names are a contract (docs/json.md)."""

from __future__ import annotations

import json
from datetime import date

from tokentail.prices.rows import PriceRow, usd_per_million
from tokentail.reports.price_list import Shown
from tokentail.reports.unpriced import Open

SCHEMA = "tokentail/prices-in-use/1"


def price_json(shown: Shown) -> str:
    """One JSON object, indented; every number is exact."""
    terms = {term.name: term for term in shown.terms}
    document = {
        "schema": SCHEMA,
        "list": "imported" if shown.is_imported else "shipped",
        "as_of": _day(shown.as_of),
        "made_from": shown.made_from,
        "own_models": list(shown.own_models),
        "prices": [_row(row, shown) for row in shown.rows],
        "web_searches_usd_per_1000": _number(terms["web_search"].number),
        "batch_factor": _number(terms["batch"].number),
        "us_factor": _number(terms["us"].number),
        "sources": [{"number": number, **source._asdict()} for number, source in enumerate(shown.sources, start=1)],
        "store": None if shown.left_open is None else _open(shown.left_open),
        "degraded": list(shown.problems),
    }
    return json.dumps(document, indent=2)


def _row(row: PriceRow, shown: Shown) -> dict[str, object]:
    rate = row.rate
    return {
        "model": row.model,
        "from": _day(row.from_day),
        "until": _day(row.until_day),
        "above_tokens": row.above_tokens,
        "speed": row.speed,
        "input_usd_per_million": _usd(rate.input),
        "output_usd_per_million": _usd(rate.output),
        "cache_read_usd_per_million": _usd(rate.cache_read),
        "cache_write_5m_usd_per_million": _usd(rate.cache_write_5m),
        "cache_write_1h_usd_per_million": _usd(rate.cache_write_1h),
        "us_costs_more": row.us_costs_more,
        "sources": shown.numbers(row.sources),
    }


def _open(left: Open) -> dict[str, object]:
    assumed = [
        {"model": each.model, "speed": None, "geo": None, "service_tier": None, **dict(each.words), **each.used._asdict()}
        for each in left.assumed
    ]
    return {"unpriced": [{"model": each.model, **each.used._asdict()} for each in left.unpriced], "assumed": assumed}


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _usd(pico: int) -> int | float:
    return _number(usd_per_million(pico))


def _number(text: str) -> int | float:
    """As a JSON number it has the same digits: a list has no number of more than 15 of them."""
    return float(text) if "." in text else int(text)
