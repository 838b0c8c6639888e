"""
What tokens cost, and the only place that says which price list is in use.

That is the list that ships with tokentail or an imported one, with a person's own prices on top.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tokentail.errors import TokentailError
from tokentail.prices import reading
from tokentail.prices.book import PICO_PER_USD
from tokentail.prices.names import normalise
from tokentail.prices.rates import PriceList, Rate

if TYPE_CHECKING:
    from tokentail.prices.own import OwnRates

__all__ = ["PICO_PER_USD", "SHIPPED", "PriceList", "Rate", "imported_path", "in_use", "load", "normalise"]

SHIPPED = Path(__file__).parents[1] / "prices.json"


def in_use(home: Path, own: Collection[OwnRates] = ()) -> PriceList:
    """
    The prices that reports go by.

    That is the list that ships with tokentail, or an imported one in `home` that is not older. Where the imported one
    cannot be used, the list's `problems` say why, and the one that ships is in use.

    Raises:
        UsageError: one of the person's own prices cannot be used.
    """
    found = _listed(imported_path(home))
    return found.with_own(own) if own else found


@cache
def load(path: Path | None = None) -> PriceList:
    """
    The list in that file, by default the one that ships with tokentail; a file is read once.

    Raises:
        TokentailError: the file cannot be read, or it is no price list.
    """
    path = path or SHIPPED
    try:
        return PriceList(reading.read(path.read_bytes()))
    except OSError as error:
        raise TokentailError(f"cannot read the price list {path}: {error.strerror or error} (name a file that can be read)") from error
    except ValueError as error:
        raise TokentailError(f"cannot use the price list {path}: {error} (correct it, or use the one that ships with tokentail)") from error


def imported_path(home: Path) -> Path:
    """Where an imported list is kept."""
    return home / "prices.json"


def _listed(path: Path) -> PriceList:
    try:
        book = reading.read(path.read_bytes())
        if book.as_of is None:
            raise ValueError("as_of is missing")
        shipped_as_of = reading.as_of(SHIPPED.read_bytes())
        return PriceList(book, is_imported=True) if shipped_as_of is None or book.as_of >= shipped_as_of else load()
    except (FileNotFoundError, NotADirectoryError):
        return load()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return load().with_problem(
            f"cannot use the imported price list {path}: {why}; the one that ships with tokentail is used"
            " (`tokentail prices --import FILE` imports another one, `tokentail prices --reset` takes this one away)"
        )
