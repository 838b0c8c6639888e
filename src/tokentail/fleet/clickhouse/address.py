"""The only place that knows how a ClickHouse is written: `clickhouse://user@host:8123/database`, or `chdb:///folder` in this process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tokentail.errors import UsageError
from tokentail.fleet.clickhouse.schema import Layout

SCHEMES = ("clickhouse", "chdb")
is_address = re.compile(rf"({'|'.join(SCHEMES)})://").match
_OPTIONS = {"secure", "cluster", "retention_days", "rollup_every_s", "rollups", "ca_cert", "verify"}
ROLLUPS = ("never", "always")


class Address(NamedTuple):
    """Where a ClickHouse is, and how its tables are laid out."""

    scheme: str
    host: str  # of chDB the folder
    port: int
    user: str
    password: str
    secure: bool
    verify: bool
    ca_cert: str
    layout: Layout
    rollups: str  # whether sums that were computed ahead are used: one of ROLLUPS

    def __str__(self) -> str:
        """Without its password."""
        if self.scheme == "chdb":
            return f"chdb://{self.host}"
        return f"clickhouse://{self.host}:{self.port}/{self.layout.database}"


def parse(said: str, environment: Mapping[str, str] = os.environ) -> Address:
    """
    Take an address apart.

    Raises:
        UsageError: it is none; the message does not repeat it, since it may hold a password.
    """
    advice = "a ClickHouse is written clickhouse://user@host:8443/database?secure=1, see docs/fleet.md"
    try:
        parts = urlsplit(said)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise UsageError(f"the address of the store cannot be read ({advice})") from error
    if parts.scheme not in SCHEMES or parts.fragment or (parts.scheme == "clickhouse") != bool(parts.hostname):
        raise UsageError(f"the address of the store is none of a ClickHouse ({advice})")
    if unknown := options.keys() - _OPTIONS:
        raise UsageError(
            f"the address of the store has an option that is not known: {min(unknown)[:40]!r} (there are: {', '.join(sorted(_OPTIONS))})"
        )
    secure = _flag(options, "secure")
    database = unquote(parts.path.strip("/")) if parts.scheme == "clickhouse" else "tokentail"
    layout = Layout(
        database or "tokentail",
        options.get("cluster", ""),
        _number(options, "retention_days", 0, 36_500),
        _number(options, "rollup_every_s", 60, 86_400) or 60,
    )
    if not re.fullmatch(r"[\w.-]{0,60}", layout.cluster) or not re.fullmatch(r"\w[\w.-]{0,60}", layout.database):
        raise UsageError(f"the names of database and cluster are letters, digits, dots and dashes ({advice})")
    rollups = options.get("rollups", "never")
    if rollups not in ROLLUPS:
        raise UsageError(f"rollups is none of {', '.join(ROLLUPS)}")
    return Address(
        parts.scheme,
        parts.hostname or parts.path,
        port or (8443 if secure else 8123),
        unquote(parts.username or "default"),
        unquote(parts.password or "") or environment.get("TOKENTAIL_CLICKHOUSE_PASSWORD", ""),
        secure,
        _flag(options, "verify", usual=True),
        options.get("ca_cert", ""),
        layout,
        rollups,
    )


def _flag(options: Mapping[str, str], name: str, *, usual: bool = False) -> bool:
    said = options.get(name, "1" if usual else "0")
    if said not in ("0", "1"):
        raise UsageError(f"{name} in the address of the store is neither 0 nor 1")
    return said == "1"


def _number(options: Mapping[str, str], name: str, usual: int, most: int) -> int:
    said = options.get(name, str(usual))
    if not (said.isascii() and said.isdecimal() and len(said) < 7 and int(said) <= most):
        raise UsageError(f"{name} in the address of the store is no number from 0 to {most}")
    return int(said)
