"""Starts the command line."""

from __future__ import annotations

import gc
import sys


def run() -> None:
    """The `tokentail` command."""
    # A report makes no reference cycles worth collecting, and a tenth of its time would go into looking for them. What
    # runs for long switches the collector on again.
    gc.disable()
    from tokentail.cli import main

    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
