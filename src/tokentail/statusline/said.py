"""The only place that knows the JSON that Claude Code gives to its status line; whatever else is given is taken for not said."""

from __future__ import annotations

import json
from math import isfinite
from typing import NamedTuple

from tokentail.samples import LENGTHS_MS, Heard, Reading

MAX_BYTES = 1_000_000
_LONGEST = 1_000  # characters of a name
_LONGEST_PATH = 4_096


class Said(NamedTuple):
    """What Claude Code says; "" and None where it says nothing."""

    session: str = ""
    transcript: str = ""
    model: str = ""  # as it is shown
    cost_usd: float | None = None
    context_percent: float | None = None
    readings: tuple[Reading, ...] = ()

    @property
    def heard(self) -> Heard:
        return Heard(self.session, self.cost_usd, self.readings)


def read(data: bytes) -> Said:
    """
    What stands in one JSON object. A field that is missing or of another type is not said, whatever the others are.

    Raises:
        ValueError: it is no JSON object, or too long. The message quotes nothing of it.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"there is more than {MAX_BYTES:,} bytes on stdin")
    if not data.strip():
        raise ValueError("there is nothing on stdin")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("what is on stdin is no JSON") from None  # its own message would quote a part
    if not isinstance(document, dict):
        raise ValueError("what is on stdin is no JSON object")
    return Said(
        _text(document.get("session_id"), _LONGEST),
        _text(document.get("transcript_path"), _LONGEST_PATH),
        _text(_part(document, "model").get("display_name"), _LONGEST) or _text(_part(document, "model").get("id"), _LONGEST),
        _number(_part(document, "cost").get("total_cost_usd"), 1e9),
        _number(_part(document, "context_window").get("used_percentage"), 1e3),
        tuple(filter(None, (_reading(kind, _part(_part(document, "rate_limits"), kind)) for kind in LENGTHS_MS))),
    )


def _reading(kind: str, said: dict[str, object]) -> Reading | None:
    used, resets_s = _number(said.get("used_percentage"), 1e3), _number(said.get("resets_at"), 1e11)
    return None if used is None or not resets_s else Reading(kind, used, int(resets_s * 1000))


def _part(document: dict[str, object], name: str) -> dict[str, object]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:  # half a pair of surrogates: no name that anybody gave
        return ""
    return value


def _number(value: object, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or not isfinite(value):
        return None
    return float(value)
