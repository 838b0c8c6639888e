"""The only place that says how often a watcher does what, and how much at most."""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """
    The defaults are measured: `make bench ARGS=watch`.

    Attributes:
        hot_every_s: where files are polled, those that changed lately are looked at so often.
        hot_for_s: what "lately" means.
        folders_every_s: where files are polled, folders are looked at so often for files that are new.
        sweep_in_doubt_s: everything is looked at so often, unless events have proved to arrive.
        sweep_in_calm_s: and so often when they have.
        most_share: of a core that each of these three may take on average; with too many files they are done less often.
        canary_every_s: how often we make a file event ourselves.
        answer_within_s: and how long it may take to arrive.
        grace_s: how much later than a change its event may come before we say that it does not.
        retry_every_s: how often we try again what was refused, or does not work.
        slice_s: long work pauses so often for events that have come.
        beat_every_s: how often the watching thread shows that it lives, and whoever waits looks whether it does.
        hung_after_beats: it is given up when it has missed so many.
        restart_after_s: until it is started again the first time; twice as long each time after that.
        restart_at_most_s: but no longer than this.
    """

    hot_every_s: float = 0.1
    hot_for_s: float = 600.0
    folders_every_s: float = 0.5
    sweep_in_doubt_s: float = 10.0
    sweep_in_calm_s: float = 60.0
    most_share: float = 0.006
    canary_every_s: float = 15.0
    answer_within_s: float = 1.0
    grace_s: float = 1.0
    retry_every_s: float = 15.0
    slice_s: float = 0.002
    beat_every_s: float = 5.0
    hung_after_beats: int = 2
    restart_after_s: float = 1.0
    restart_at_most_s: float = 60.0
