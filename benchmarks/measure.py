"""The only place that measures whole processes: wall time, CPU time and peak memory, their children included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launch.py")
_SAMPLE_EVERY_S = 0.002


class MeasureError(Exception):
    """A program that was to be measured failed; `subject` is the name under which it was measured beside others."""

    def __init__(self, message: str, subject: str = "") -> None:
        super().__init__(message)
        self.subject = subject


@dataclass(frozen=True, slots=True)
class Command:
    """A program, its words, and the environment besides `usual_environment`."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took. CPU time and bytes read are those of all its processes, the peak that of the largest one."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    read_bytes: int  # by any call, of files and all else; 0 where there is no /proc
    output: bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to be measured again and again; `prepare` sets the scene for a run, unmeasured, and gives the command."""

    name: str
    prepare: Callable[[], Command]


@dataclass(slots=True)
class Runs:
    """All runs of a subject, and the round before them that does not count."""

    first: Usage
    counted: list[Usage] = field(default_factory=list)

    @property
    def wall_ms(self) -> tuple[float, ...]:
        return tuple(run.wall_s * 1000 for run in self.counted)

    @property
    def cpu_ms(self) -> tuple[float, ...]:
        return tuple(run.cpu_s * 1000 for run in self.counted)

    @property
    def peak_mb(self) -> tuple[float, ...]:
        return tuple(run.peak_bytes / 1e6 for run in self.counted)


def interleaved(subjects: Sequence[Subject], runs: int) -> dict[str, Runs]:
    """
    Run the subjects in turn, A B A B, so that a noisy minute hits all of them alike.

    One round goes first that does not count: it brings files and programs into memory.

    Raises:
        MeasureError: one of them failed.
    """
    results = {subject.name: Runs(_run_once(subject)) for subject in subjects}
    for _ in range(runs):
        for subject in subjects:
            results[subject.name].counted.append(_run_once(subject))
    return results


def run(command: Command) -> Usage:
    """
    Run a program to its end.

    Raises:
        MeasureError: it ended with an error, or could not be started.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures, output = Path(folder, "figures"), Path(folder, "output")
        words = [sys.executable, "-I", "-S", str(_LAUNCHER), str(figures), str(output), *_found(command.words)]
        launched = subprocess.run(words, env={**usual_environment(), **command.environment}, capture_output=True, check=False)
        if not figures.exists():
            raise MeasureError(f"cannot run {command.words[0]}: {launched.stderr.decode(errors='replace').strip()[-300:]}")
        code, wall_s, cpu_s, peak_bytes, read_bytes = json.loads(figures.read_text())
        if code:
            said = output.with_name("output.err").read_text(errors="replace").strip()
            raise MeasureError(f"{' '.join(command.words)} ended with {code}: {said[-300:]}")
        return Usage(wall_s, cpu_s, peak_bytes, read_bytes, output.read_bytes())


def peaks(command: Command) -> list[int]:
    """
    The peak memory in bytes of each process that a program starts, itself included; empty where there is no /proc.

    Looks every few milliseconds, so it slows the program down, and its time is not measured.
    """
    if not Path("/proc/self/status").exists():
        return []
    environment = {**usual_environment(), **command.environment}
    process = subprocess.Popen(_found(command.words), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found: dict[int, int] = {}
    while process.poll() is None:
        for number in _family(process.pid):
            with suppress(OSError, IndexError):
                found[number] = _peak(number)
        time.sleep(_SAMPLE_EVERY_S)
    return list(found.values())


def usual_environment() -> dict[str, str]:
    """What every program gets: the paths of this process, and nothing that leads it to anybody's own logs."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    return kept | {"LANG": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1", "COLUMNS": "120"}


def _run_once(subject: Subject) -> Usage:
    try:
        return run(subject.prepare())
    except MeasureError as error:
        raise MeasureError(str(error), subject.name) from error


def _found(words: Sequence[str]) -> list[str]:
    return [shutil.which(words[0]) or words[0], *words[1:]]


def _family(number: int) -> list[int]:
    """A process and all that it started, as far as they live."""
    family = [number]
    for member in family:
        with suppress(OSError):
            for children in Path(f"/proc/{member}/task").glob("*/children"):
                family.extend(map(int, children.read_text().split()))
    return family


def _peak(number: int) -> int:
    return int(Path(f"/proc/{number}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
