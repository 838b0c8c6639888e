"""The only place that lists the commands: each one is a module here, which is imported when its options are needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import argparse


class Command(NamedTuple):
    module: str  # of this folder; its `configure(parser, name)` adds description and options, and says what runs
    help: str  # the line in `tokentail --help`

    def configure(self, parser: argparse.ArgumentParser, name: str) -> None:
        """Make a parser that of the command."""
        module = importlib.import_module(f"{__name__}.{self.module}")
        cast("Callable[[argparse.ArgumentParser, str], None]", module.configure)(parser, name)


SCREEN = Command("screen", "the live screen, or today's overview")  # what runs without a command's name
COMMANDS: Mapping[str, Command] = {
    "daily": Command("report", "what each day used and cost"),
    "weekly": Command("report", "what each week used and cost"),
    "monthly": Command("report", "what each month used and cost"),
    "sessions": Command("report", "what each session used and cost"),
    "projects": Command("report", "what each project used and cost"),
    "models": Command("report", "what each model used and cost"),
    "hosts": Command("report", "what each machine used and cost, where others send to this one"),
    "users": Command("report", "what each person used and cost, likewise"),
    "blocks": Command("report", "the five-hour windows, and where the running one leads"),
    "limits": Command("limits", "how far the limits are used, where that leads, and by whose work"),
    "statusline": Command("statusline", "one line for Claude Code, and putting it in its settings"),
    "budget": Command("budget", "how your budgets stand, and who is told when one is crossed"),
    "feed": Command("feed", "one line for every reply, as it happens"),
    "web": Command("web", "the live page, its API and metrics, on this machine"),
    "explain": Command("explain", "where a number comes from: the lines that were counted, by which rule, at which price"),
    "prices": Command("prices", "what tokens cost, and which of your models have no price"),
    "verify": Command("verify", "hold the store against a full re-read"),
    "status": Command("status", "what is tracked and how well"),
    "rebuild": Command("rebuild", "make the store anew from the logs"),
    "forget": Command("forget", "remove replies for good, so that no log brings them back"),
    "config": Command("config", "the settings: where they are, what they are, whether they are sound"),
    "completion": Command("completion", "a script that completes these words in your shell"),
    "export": Command("export", "every reply as a row, as Parquet, CSV or NDJSON"),
    "backup": Command("backup", "copy the store safely"),
    "push": Command("push", "send this machine's records to a central store"),
    "reconcile": Command("reconcile", "compare this machine's sessions with the central store, and send again what differs"),
    "hub": Command("hub", "the tokens of a hub: which machines may send to it, who may read it"),
    "merge": Command("merge", "join the store of another machine into this one"),
    "ingest": Command("ingest", "read the logs of other machines once, by many processes"),
    "doctor": Command("doctor", "try out a ClickHouse that is to be the central store"),
    "demo": Command("demo", "made-up logs to try it on"),
}
