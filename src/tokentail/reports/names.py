"""The only place that shortens names: models as people call them, sessions by the first characters that tell them apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from tokentail.prices import normalise
from tokentail.reports import text

LEAST_ID = 8  # characters of a session's id
# Not compiled here: most reports show no model.
_NEWER = r"claude-(?P<family>[a-z]+)-(?P<version>[0-9]+(?:-[0-9]+)?)"
_OLDER = r"claude-(?P<version>[0-9]+(?:-[0-9]+)?)-(?P<family>[a-z]+)"


def model_name(model: str) -> str:
    """`claude-sonnet-4-5-20250929` is `sonnet 4.5` to people; a name of another make stays as it is."""
    name = normalise(model)
    match = re.fullmatch(_NEWER, name) or re.fullmatch(_OLDER, name)
    return text.safe(model if match is None else f"{match['family']} {match['version'].replace('-', '.')}")


def model_names(models: Iterable[str]) -> Mapping[str, str]:
    """The short name of each model; where several would share one, they keep their own."""
    short = {model: model_name(model) for model in models}
    shared = list(short.values())
    return {model: name if shared.count(name) == 1 else text.safe(model) for model, name in short.items()}


def short_ids(ids: Iterable[str]) -> Mapping[str, str]:
    """The first eight characters of each id, and of those that share them as many as it takes."""
    ordered = sorted(set(ids))
    needed = dict.fromkeys(ordered, LEAST_ID)
    for one, next_one in pairwise(ordered):
        if one[:LEAST_ID] == next_one[:LEAST_ID]:
            tell_apart = 1 + next((place for place, (a, b) in enumerate(zip(one, next_one, strict=False)) if a != b), len(one))
            needed[one] = max(needed[one], tell_apart)
            needed[next_one] = max(needed[next_one], tell_apart)
    return {each: text.safe(each[:length]) for each, length in needed.items()}
