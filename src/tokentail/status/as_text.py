"""How things stand, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from zoneinfo import ZoneInfo

from tokentail import __version__, periods
from tokentail.census import Look
from tokentail.model import Recent, Share
from tokentail.reports.grid import ALWAYS, Column, Grid, draw
from tokentail.reports.text import Style, cut, safe, short, text_width
from tokentail.status.now import Folder, Status
from tokentail.time_index import Index

_WIDTH = 80
_NAME = 13  # columns of what a line is about, with its margins
_FOLDER = 46


def status_text(status: Status, zone: ZoneInfo, style: Style) -> str:
    """Everything on one screen; a name that is too long for it loses its beginning."""
    parts = [
        [style(f"tokentail {__version__} at {_moment(status.at_ms, zone)} ({zone.key})", "1")],
        [style("Logs", "1"), *_logs(status)],
        [style("Counted", "1"), *_counted(status, zone)],
        [style("Store", "1"), *_store(status)],
        list(_following(status, style)),
        list(_looks(status, zone, style)),
        [*(_warning(f"cannot read {where}: {why}") for where, why in status.problems), *map(_warning, status.degraded)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _logs(status: Status) -> Iterator[str]:
    for folder in status.folders:
        name = _fitted(folder.folder, _FOLDER)
        yield f"  {name}{' ' * (_FOLDER - text_width(name))}  {_found(folder)}"
    if not status.files:
        yield "  No logs were found: name a folder with --source DIR, or try `tokentail demo`."
    if status.census is None:
        return
    live, missing, rewritten, read_bytes, malformed = status.census.files
    kept = " (what those held stays counted)" if missing or rewritten else ""
    yield _line("Files", f"{live:,} live, {missing:,} gone, {rewritten:,} rewritten{kept}")
    yield _line("Read", f"{_size(read_bytes)} of {_size(status.size_bytes)}")
    if malformed:
        yield _line("Malformed", f"{malformed:,} lines (`tokentail verify` names them)")


def _found(folder: Folder) -> str:
    if not folder.exists:
        return "there is no such folder"
    files = f"{folder.files:,}" if folder.files < 10**7 else short(folder.files)
    return f"{files:>8} files{_size(folder.size_bytes):>12}" if folder.readable else "it cannot be read"


def _counted(status: Status, zone: ZoneInfo) -> Iterator[str]:
    if status.census is None:
        yield "  Nothing yet: the first report counts what the logs hold." if not status.store.exists else "  It cannot be told, see below."
        return
    replies, first_ms, last_ms, sessions, projects, forgotten, of_others, hosts = status.census.counted
    yield _line("Replies", f"{replies:,} (sessions: {sessions:,}, projects: {projects:,})")
    if of_others:
        yield _line("Of others", f"{of_others:,} of them came from other machines (hosts: {hosts:,})")
    if first_ms is not None and last_ms is not None:
        yield _line("Days", f"{periods.day_of(first_ms, zone)} to {periods.day_of(last_ms, zone)}")
    if forgotten:
        yield _line("Forgotten", f"{forgotten:,}, which stay out of it")
    for url, (waiting, refused) in status.census.destinations:
        yield _line("Sent to", _fitted(url, _WIDTH - _NAME))
        kept = f", {refused:,} of them refused" if refused else ""
        yield _line("", f"{waiting:,} records wait to be acknowledged{kept}" if waiting else "all records are acknowledged there")


def _store(status: Status) -> Iterator[str]:
    file, held = status.store, status.census
    yield _line("File", _fitted(file.path, _WIDTH - _NAME))
    if file.exists:
        yield _line("Size", _sizes(status))
    if held is not None:
        yield _line("Versions", f"schema {held.schema_version}, counting rules {held.rules_version or 'unknown'}")
    if file.exists:
        yield _line("Written by", _writer(file.writer))
    names = [_fitted(copy.name, _FOLDER) for copy in status.copies]
    for number, (name, copy) in enumerate(zip(names, status.copies, strict=True)):
        padding = " " * (max(map(text_width, names)) - text_width(name))
        yield _line("" if number else "Beside it", f"{name}{padding}{_size(copy.size_bytes):>12}")
    if status.time_index is not None:
        yield from _index(status.time_index)
    as_of = f" of {status.prices.as_of}" if status.prices.as_of else ""
    yield _line("Prices", cut(f"{status.prices.list} list{as_of}, {status.prices.made_from}", _WIDTH - _NAME))
    if status.prices.own_models:
        yield _line("Your own", cut(", ".join(status.prices.own_models), _WIDTH - _NAME))


def _index(index: Index) -> Iterator[str]:
    """What reports without a store need not read."""
    of_what = f"{_number(index.files)} files in {_number(index.stretches)} stretches"
    yield _line("Index", f"{_size(index.size_bytes)} of {of_what}, for `--no-store`")
    if index.last_read is not None:
        yield _line("", f"the last time {_size(index.last_read.bytes_read)} were read, {_size(index.last_read.bytes_skipped)} skipped")


def _writer(process: int | None) -> str:
    if process is None:
        return "nobody at this moment"
    return f"process {process} at this moment" if process else "a process that does not say which"


def _sizes(status: Status) -> str:
    file, held = status.store, status.census
    size = _size(file.size_bytes + file.log_bytes)
    log = f", {_size(file.log_bytes)} of that in its log" if file.log_bytes else ""
    each = f", {(file.size_bytes + file.log_bytes) / held.counted.replies:,.0f} bytes a reply" if held and held.counted.replies else ""
    return size + log + each


def _following(status: Status, style: Style) -> Iterator[str]:
    if status.leader is None:
        return
    noted = status.census.following if status.census else None
    yield style(f"Followed by process {status.leader.process}, heard of {status.leader.silent_s:,.1f} s ago", "1")
    if noted is None:
        yield "  It has not noted yet how it fares."
        return
    how = "file events" if noted.mode == "events" else "looking again and again, since there are no file events"
    yield _line("Hears by", how)
    yield _line("Waiting", f"{noted.pending:,} files" if noted.pending else "nothing")
    if noted.recent is not None:
        yield from _recent(noted.recent)


def _recent(recent: Recent) -> Iterator[str]:
    rows: list[tuple[str, Share | None, Callable[[float], str]]] = [
        ("From a line's being written to its commit", recent.late_ms, _ms),
        ("A look at the logs", recent.took_ms, _ms),
        ("Files checked", recent.files_checked, lambda count: _number(int(count))),
        ("Unchanged", recent.cache_hit_rate, lambda rate: f"{rate:.1%}"),
        ("Read", recent.bytes_read, _size),
        ("Entries", recent.entries_parsed, lambda count: _number(int(count))),
    ]
    title = f"Its latest {recent.looks:,} looks that found something"
    yield f"  {title:44}{'median':>12}{'p99':>12}"
    yield from (f"  {name:44}{shown(share.p50):>12}{shown(share.p99):>12}" for name, share, shown in rows if share is not None)


def _looks(status: Status, zone: ZoneInfo, style: Style) -> Iterator[str]:
    found = status.census.found if status.census else ()
    last = status.last_look
    is_another = last is not None and not any(last[:2] == look[:2] for look in found)
    looks = [*([last] if last is not None and is_another else ()), *found]
    if looks:
        yield style("Looks at the logs: the last one, and the last that found something", "1")
        shown = draw(_grid(looks, zone), width=_WIDTH - 2, style=style)
        yield from (f"  {row}" for row in shown)


def _grid(looks: Sequence[Look], zone: ZoneInfo) -> Grid:
    made = [look.metrics for look in looks]
    numbers = (
        ("Files", 8, [_number(each.files_checked) for each in made]),
        ("Read", 7, [_number(each.files_read) for each in made]),
        ("Size", 6, [_size(each.bytes_read) for each in made]),
        ("Entries", 4, [_number(each.entries_parsed) for each in made]),
        ("Cached", 3, [f"{each.cache_hit_rate:.1%}" for each in made]),
        ("Took", 5, [_took(each.took_s) for each in made]),
        ("Process", 2, [str(look.process) for look in looks]),
    )
    times = Column("Time", ALWAYS, [_moment(look.at_ms, zone) for look in looks])
    return Grid([times], [Column(title, importance, cells, right=True) for title, importance, cells in numbers])


def _warning(why: str) -> str:
    from textwrap import fill  # mostly there is none

    return fill(f"!  {safe(why)}", _WIDTH, subsequent_indent="   ", break_long_words=False, break_on_hyphens=False)


def _line(name: str, value: str) -> str:
    return f"  {name:{_NAME - 2}}{value}"


def _fitted(name: str, width: int) -> str:
    name = safe(name)
    if text_width(name) <= width:
        return name
    while text_width(name) > width - 1:
        name = name[1:]
    return f"…{name}"


def _moment(at_ms: int, zone: ZoneInfo) -> str:
    return periods.at(at_ms, zone).strftime("%Y-%m-%d %H:%M:%S")


def _size(size_bytes: float) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= size:
            return f"{size_bytes / size:,.1f} {unit}"
    return f"{size_bytes / 10**3:,.1f} kB"


def _number(number: int) -> str:
    return f"{number:,}" if number < 10**4 else short(number)


def _ms(ms: float) -> str:
    return f"{ms:,.1f} ms" if ms < 10**5 else f"{ms / 1000:,.0f} s"


def _took(took_s: float) -> str:
    if took_s < 0.999:
        return f"{took_s * 1000:,.0f} ms"
    return f"{took_s:,.1f} s" if took_s < 999 else f"{took_s / 3600:,.1f} h"
