"""The only place that makes reports without a store, and knows which replies such a report has to know of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from tokentail import periods, time_index
from tokentail.criteria import Criterion, During, Everything, OfModels, OfProjects
from tokentail.model import LogsRead, Problem, Reply, Report, Source
from tokentail.projects import Projects
from tokentail.recount import Announce, TornError
from tokentail.reports.blocks import BLOCK_MS
from tokentail.reports.build import build, chosen_projects, is_chosen_model
from tokentail.reports.data import Counted
from tokentail.reports.request import Context, Request
from tokentail.skim import Skim
from tokentail.stretches import STRETCH_BYTES


def report_from_logs(
    request: Request,
    source: Source,
    index: Path,
    context: Context,
    *,
    announce: Announce | None = None,
    stretch_bytes: int = STRETCH_BYTES,
) -> tuple[Report, list[Problem]]:
    """
    The report as a full read of all logs would give it, and what could not be read.

    Args:
        index: where the time index stands or will stand. It is used where the report is about some replies only.
        announce: hears what will be read.
    """
    known = {} if _is_about_all(request) else time_index.load(index)
    try:
        skim = Skim(source, known, announce=announce, stretch_bytes=stretch_bytes)
        report = _report(skim, request, context)
    except TornError:  # a log was cut or written anew while it was read
        skim = Skim(source, {}, announce=announce, stretch_bytes=stretch_bytes)
        report = _report(skim, request, context)
    read = LogsRead(skim.bytes_read, skim.bytes_skipped)
    time_index.save(index, skim.changed, skim.paths, read, context.now_ms)
    return report._replace(logs_read=read), list(skim.problems)


def _is_about_all(request: Request) -> bool:
    return not _has_period(request) and (request.report == "blocks" or not (request.projects or request.models))


def _has_period(request: Request) -> bool:
    return request.since is not None or request.until is not None


def _report(skim: Skim, request: Request, context: Context) -> Report:
    if _has_period(request):
        report = _of_period(skim, request, context)
    else:
        skim.want(_criterion(skim, request, context))
        report = _built(skim, request, context)
    if request.is_choice and (report.hints or not report.rows):
        # Which names there are, and when there was something, is said of all replies.
        skim.want(Everything())
        report = _built(skim, request, context)
    return report


def _criterion(skim: Skim, request: Request, context: Context) -> Criterion:
    """Of what is asked for, one thing that any reply in the report has."""
    if _is_about_all(request):
        return Everything()
    if request.projects:
        return OfProjects(chosen_projects(request, Projects(skim.folders(), context.aliases)))
    return OfModels(cache(partial(is_chosen_model, request)))


def _built(skim: Skim, request: Request, context: Context, replies: Sequence[Reply] | None = None) -> Report:
    data = Counted(skim.replies() if replies is None else replies, skim.project_names(), context.prices)
    return build(request, data, context._replace(malformed_lines=skim.malformed_lines))


def _of_period(skim: Skim, request: Request, context: Context) -> Report:
    """
    The report, with replies before and after the period as far as something depends on them.

    The windows of `blocks` follow from the replies before. And where a report has nothing, it is said whether there is something
    before and after.
    """
    start, end = periods.reach(request.zone, request.since, request.until)
    is_blocks = request.report == "blocks"
    low = start - periods.DAY_MS if is_blocks and start is not None else start
    high = end + BLOCK_MS if is_blocks and end is not None else end
    step_ms = periods.DAY_MS
    while True:
        skim.want(During(low, high))
        replies = skim.replies()
        report = _built(skim, request, context, replies)
        # Of what lies beyond, some replies may be known, and not others.
        moments = [reply.at_ms for reply in replies if During(low, high).holds(reply)]
        is_empty = not report.rows and not request.is_choice
        has_earlier = start is None or low is None or not is_empty or any(at < start for at in moments)
        has_later = end is None or high is None or not is_empty or any(at >= end for at in moments)
        knows_windows = not is_blocks or start is None or low is None or _has_pause(moments, low, start)
        if has_earlier and has_later and knows_windows:
            return report
        if low is not None and not (has_earlier and knows_windows):
            low = _moved(skim.last_before(low), -step_ms)
        if high is not None and not has_later:
            high = _moved(skim.first_from(high), step_ms)
        step_ms *= 2


def _moved(nearest: int | None, step_ms: int) -> int | None:
    """Beyond the nearest moment that is not known; None where all of them are."""
    return None if nearest is None else nearest + step_ms


def _has_pause(moments: Sequence[int], low: int, start: int) -> bool:
    """Was nothing used for so long, after `low` and before the first of these moments from `start` on, that a new window began?"""
    before = low
    for at in moments:
        if at - before >= BLOCK_MS:
            return True
        if at >= start:
            return False
        before = at
    return True
