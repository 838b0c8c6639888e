"""
Write `src/tokentail/prices.json` from the installed genai-prices and from `prices_extra.json`, which holds what genai-prices lacks.

    python scripts/make_prices.py            write the file
    python scripts/make_prices.py --check    change nothing; exit 1 and show the difference if the file is not what would be written
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from tokentail.prices import SHIPPED, normalise
from tokentail.prices.reading import SCHEMA

EXTRA = Path(__file__).with_name("prices_extra.json")
WIDTH = 140
ABOUT = (
    "USD per million tokens. A price holds from the UTC day 'from' and no longer on the day 'until'; before a model's first price"
    " that price holds. long_context: the price of all tokens of a request whose prompt is longer than 'above'."
    " us_factor: us.factor applies. as_of: the day on which the prices were looked up."
    " Made by scripts/make_prices.py: change that, not this."
)
CLASSES = {  # our name: theirs
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write_5m": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write src/tokentail/prices.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the file is not what would be written")
    parser.add_argument("--file", type=Path, default=SHIPPED, help="instead of src/tokentail/prices.json")
    args = parser.parse_args(words)
    new = render(build(json.loads(EXTRA.read_text(encoding="utf-8"), parse_float=Decimal))) + "\n"
    if not args.check:
        args.file.write_text(new, encoding="utf-8")
        return 0
    old = args.file.read_text(encoding="utf-8") if args.file.exists() else ""
    sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), str(args.file), "what would be written"))
    return int(old != new)


def build(extra: Mapping[str, Any]) -> dict[str, Any]:
    """
    The whole document.

    Raises:
        ValueError: genai-prices says something that the schema cannot hold, or it and the extra parts disagree.
    """
    us, batch = extra["us"], extra["batch"]
    listed = {normalise(model.id): model for model in claude_models() if model.id not in extra["left_out"]}
    models = {name: read_model(name, model, batch["factor"]) for name, model in listed.items()}
    for name, like in extra["priced_like"].items():
        if name in models:
            raise ValueError(f"genai-prices has {name} now: take it out of priced_like")
        models[name] = {
            **models[like],
            "prices": [{**price, "sources": ["genai-prices", "pricing"]} for price in models[like]["prices"]],
        }
    for name, day in extra["released"].items():
        first = models[name]["prices"][0]
        models[name]["prices"][0] = {"from": day, **first, "sources": [*first["sources"], "model-pages"]}
    for name, part in extra["fast"].items():
        models[name]["fast"] = [merge_fast(name, models[name].get("fast", []), part)]
    if strangers := set(us["models"]) - models.keys():
        raise ValueError(f"us.models names models without a price: {sorted(strangers)}")
    return {
        "schema": SCHEMA,
        "about": ABOUT,
        "as_of": extra["as_of"],
        "made_from": f"genai-prices {version('genai-prices')}",
        "sources": {"genai-prices": {"title": "genai-prices", "version": version("genai-prices")}, **extra["sources"]},
        "web_search": extra["web_search"],
        "batch": batch,
        "us": {key: value for key, value in us.items() if key != "models"},
        "models": {name: {"us_factor": name in us["models"], **models[name]} for name in sorted(models)},
    }


def claude_models() -> list[ModelInfo]:
    return next(provider.models for provider in providers if provider.id == "anthropic")


def read_model(name: str, model: ModelInfo, batch: Decimal) -> dict[str, Any]:
    """A model's prices and its fast multiplier, as genai-prices has them; their batch prices must follow from ours."""
    listed = [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
    starts = [start_day(name, conditional.constraint) for conditional in listed]
    prices = []
    for conditional, start, until in zip(listed, starts, [*starts[1:], None], strict=True):
        days = {key: day for key, day in (("from", start), ("until", until)) if day is not None}
        prices.append({**days, **read_price(conditional.prices), "sources": ["genai-prices"]})
    found: dict[str, Any] = {"prices": prices}
    for variant in model.price_variants or ():
        match variant.when:
            case {"processing": "batch"} if len(variant.when) == 1:
                # Their batch prices start on the day they were written down; the discount is older, so the day is not taken.
                if multiple(name, variant.prices, listed[-1].prices) != batch:
                    raise ValueError(f"{name}: its batch price is not {batch} times its price")
            case {"speed": "fast"} if len(variant.when) == 1:
                start = start_day(name, variant.constraint)
                days = {} if start is None else {"from": start}
                found["fast"] = [{"multiplier": multiple(name, variant.prices, listed[-1].prices), **days, "sources": ["genai-prices"]}]
            case _:
                raise ValueError(f"{name}: a price for {variant.when}, which the schema cannot hold")
    return found


def start_day(name: str, constraint: object) -> str | None:
    if constraint is None:
        return None
    if not isinstance(constraint, StartDateConstraint):
        raise ValueError(f"{name}: a price by {constraint}, which the schema cannot hold")
    return constraint.start_date.isoformat()


def read_price(price: ModelPrice) -> dict[str, Any]:
    thresholds = sorted({tier.start for value in tiered(price) for tier in value.tiers})
    tiers = [{"above": start, "rates": rates(price, start)} for start in thresholds]
    return {"rates": rates(price, 0), "long_context": tiers} if tiers else {"rates": rates(price, 0)}


def rates(price: ModelPrice, above: int) -> dict[str, Decimal]:
    return {ours: at(getattr(price, theirs), above) for ours, theirs in CLASSES.items()}


def tiered(price: ModelPrice) -> list[TieredPrices]:
    values = [getattr(price, theirs) for theirs in CLASSES.values()]
    return [value for value in values if isinstance(value, TieredPrices)]


def at(value: Decimal | TieredPrices, above: int) -> Decimal:
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= above), value.base)


def multiple(name: str, special: ModelPrice, standard: ModelPrice) -> Decimal:
    """What all prices of one list are multiplied by to give the other."""
    ours, theirs = tiers_of(standard), tiers_of(special)
    factors = {theirs[above][key] / price for above, tier in ours.items() for key, price in tier.items() if above in theirs}
    if ours.keys() != theirs.keys() or len(factors) != 1:
        raise ValueError(f"{name}: no one factor leads from {ours} to {theirs}")
    return factors.pop()


def tiers_of(price: ModelPrice) -> dict[int, dict[str, Decimal]]:
    found = read_price(price)
    return {0: found["rates"]} | {tier["above"]: tier["rates"] for tier in found.get("long_context", ())}


def merge_fast(name: str, listed: list[dict[str, Any]], part: Mapping[str, Any]) -> dict[str, Any]:
    known = listed[0] if listed else {"sources": []}
    if known.get("multiplier", part.get("multiplier")) != part.get("multiplier", known.get("multiplier")):
        raise ValueError(f"{name}: genai-prices and the extra parts have different fast prices")
    merged = {**known, **part, "sources": [*known["sources"], *part["sources"]]}
    return {key: merged[key] for key in ("multiplier", "from", "until", "sources") if key in merged}


def render(value: Any, indent: int = 0, used: int = 0) -> str:
    """JSON, with every part that fits on a line on one line."""
    line = json.dumps(plain(value), ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or indent + used + len(line) < WIDTH:
        return line
    inner = " " * (indent + 2)
    brackets, parts = (
        ("{}", members(value, indent + 2)) if isinstance(value, dict) else ("[]", (render(each, indent + 2) for each in value))
    )
    return brackets[0] + "\n" + ",\n".join(inner + part for part in parts) + "\n" + " " * indent + brackets[1]


def members(value: Mapping[str, Any], indent: int) -> Iterable[str]:
    for key, each in value.items():
        head = f"{json.dumps(key)}: "
        yield head + render(each, indent, len(head))


def plain(value: Any) -> Any:
    """Decimals as JSON numbers, exactly."""
    match value:
        case Decimal():
            number = int(value) if value == value.to_integral_value() else float(value)
            if Decimal(str(number)) != value:
                raise ValueError(f"{value} is not exact as a JSON number")
            return number
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
