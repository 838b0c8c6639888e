"""Where the live screen is painted."""

from __future__ import annotations

import sys

from textual.drivers.linux_driver import LinuxDriver


class StdoutDriver(LinuxDriver):
    """Paints on stdout, which is known to be a terminal: `2>errors.log` takes the messages and leaves the screen."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # handed on as they are
        # Textual paints on stderr elsewhere than on Windows, and has no option for it.
        self._file = sys.__stdout__ or self._file
