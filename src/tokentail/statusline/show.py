"""The only place that answers Claude Code: one line, whatever happens, and an end without an error."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from tokentail import addresses, config, database, periods, prices, samples
from tokentail.addresses import Place
from tokentail.config import Config
from tokentail.reports.text import Style
from tokentail.statusline import figures, journal
from tokentail.statusline import said as stdin
from tokentail.statusline.line import SEPARATOR, line
from tokentail.statusline.said import Said

_BUSY_MS = 20  # for somebody else's commit, before a sample is left for the next time

_SILENT_S = 5.0  # from then on a process that leads may have been stopped


def show(
    given: BinaryIO,
    out: TextIO,
    environment: Mapping[str, str],
    *,
    sources: Sequence[str] | None = None,
    clock: Callable[[], float] = time.time,
) -> int:
    """
    Read what Claude Code says, print one line, keep what it said. The exit code is always 0, so that the prompt is never disturbed.

    What goes wrong is written to `statusline.log` beside the store, and the line says what can be said without it.
    """
    said, settings, home = Said(), Config(), None
    now_ms = int(clock() * 1000)
    try:
        home = database.home_folder(environment)
        said = stdin.read(given.read(stdin.MAX_BYTES + 1))
        settings = config.load(config.config_path(environment))
        shown = _line(said, settings, home, environment, sources, now_ms)
    # Whatever it is, and also where it is a mistake of ours: an error here would take the line away without a word.
    except Exception as error:  # noqa: BLE001
        shown = _short(said, settings, environment, now_ms)
        if home is not None:
            journal.note(home, str(error) or type(error).__name__)
    with suppress(OSError, ValueError):  # Claude Code has gone, or starts the next one already
        out.write(f"{shown}\n")
        out.flush()
    return 0


def _line(said: Said, settings: Config, home: Path, environment: Mapping[str, str], sources: Sequence[str] | None, now_ms: int) -> str:
    """The line, after what is new was kept."""
    places = [addresses.place(os.fspath(place)) for place in (settings.sources if sources is None else sources)]
    store_path = database.store_path(home, places or None)
    template, style = settings.statusline.template, _style(environment)
    own = line(template, said, figures.of_claude(said), style, now_ms)
    to_do = SEPARATOR.join(filter(None, (own, "run `tokentail daily` once")))
    if not store_path.exists():
        return to_do
    price_list = prices.in_use(home, settings.prices.models)
    with closing(database.open_to_look(store_path)) as db:
        if not database.is_current(db, store_path):
            return to_do  # a migration copies the store first, which takes seconds
        for trouble in _kept(db, store_path, said, now_ms), _caught_up(db, store_path, price_list, said, places, environment):
            if trouble:
                journal.note(home, trouble)
        zone = periods.parse_zone(settings.timezone or None)
        with database.snapshot(db):
            found = figures.of_store(
                db,
                price_list,
                said,
                zone,
                now_ms,
                rounding=settings.blocks.rounding,
                wanted=[kind for kind in samples.LENGTHS_MS if kind in template],
            )
    return line(template, said, found, style, now_ms) or "tokentail: nothing to show"


def _kept(db: sqlite3.Connection, store_path: Path, said: Said, now_ms: int) -> str:
    """Keep what was said of limits and costs, if it is news; gives what prevented it."""
    if not said.session or not samples.is_news(db, said.heard):
        return ""
    try:
        with closing(database.open_to_add(store_path, wait_ms=_BUSY_MS)) as own:
            samples.keep(own, said.heard, now_ms)
    except sqlite3.OperationalError as error:
        return f"what was said of limits is left for the next time: {error}"
    return ""


def _caught_up(
    db: sqlite3.Connection,
    store_path: Path,
    price_list: prices.PriceList,
    said: Said,
    places: Sequence[Place],
    environment: Mapping[str, str],
) -> str:
    """Bring the session's log up to date; gives what prevented it. Then the line shows what the store has."""
    from tokentail import one_log
    from tokentail.errors import TokentailError
    from tokentail.leader import Leadership

    # Who leads reads a line within milliseconds, and our lock would only be in its way.
    leader = Leadership(store_path).seen()
    if leader is not None and leader.silent_s < _SILENT_S:
        return ""
    if not said.transcript or not one_log.has_changed(db, said.transcript):
        return ""
    from tokentail.formats import usual_folders  # a session that nothing happened in does without
    from tokentail.sources import LocalFolders

    source = LocalFolders([place for place in places if isinstance(place, Path)] if places else usual_folders(environment))
    try:
        one_log.catch_up(db, source, store_path, price_list, said.transcript)
    except (TokentailError, OSError, sqlite3.Error) as error:
        return f"the session's log was not read: {error}"
    return ""


def _short(said: Said, settings: Config, environment: Mapping[str, str], now_ms: int) -> str:
    """What can be said without a store and without settings that may be the trouble."""
    shown = line(settings.statusline.template, said, figures.of_claude(said), _style(environment), now_ms)
    return f"{shown}{SEPARATOR}tokentail: see statusline.log" if shown else "tokentail: no figures, see statusline.log"


def _style(environment: Mapping[str, str]) -> Style:
    """Claude Code takes colours, though it is no terminal."""
    return Style(not environment.get("NO_COLOR"))


def main(words: Sequence[str] = ()) -> int:
    """The command, without its options."""
    return show(sys.stdin.buffer, sys.stdout, os.environ, sources=words or None)
