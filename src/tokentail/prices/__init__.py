"""What tokens cost: the list that ships with tokentail, and the rates in it."""

from tokentail.prices.book import PICO_PER_USD
from tokentail.prices.names import normalise
from tokentail.prices.rates import SHIPPED, PriceList, Rate, load
from tokentail.prices.reading import SCHEMA

__all__ = ["PICO_PER_USD", "SCHEMA", "SHIPPED", "PriceList", "Rate", "load", "normalise"]
