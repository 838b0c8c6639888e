"""Starts the command line."""

from __future__ import annotations

import gc
import os
import sys


def run() -> None:
    """The `tokentail` command."""
    # A report makes no reference cycles worth collecting, and a tenth of its time would go into looking for them. What
    # runs for long switches the collector on again.
    gc.disable()
    # Closed by whoever started us: their numbers must not fall to files of ours, and what is written there goes nowhere.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, "r" if name == "stdin" else "w", closefd=False))
    from tokentail.reports.signs import make_safe

    make_safe(sys.stdout)
    # Claude Code asks for it after every reply, and parsing words takes a tenth of the time that it has.
    if sys.argv[1:] == ["statusline"] and not sys.stdin.isatty():
        from tokentail.statusline.show import main as show_status

        sys.exit(show_status())
    from tokentail.cli import main

    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
