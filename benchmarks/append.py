"""
The writer of the live measurements, a small process of its own: appends lines at a rate and keeps when each one was written.

Words: the journal, lines a second, seconds, a prefix for ids, a file with the logs' names. Each line goes to a log by chance,
which is opened, written to and closed, as Claude Code does; the moment is taken when `write` has returned. The journal has a
line for each: id and moment, in seconds since 1970.

Every line is a new reply, which is the most that a line can be. Held once against another writer of such logs, whose lines are
replies, their further parts and tool results in turn: 50 lines a second in 40 logs took 2.6 ms with this one and 2.2 with the
other (median, same minutes, a busy machine), 1 000 lines a second 6.6 and 4.5.
"""

import os
import random
import sys
import time
from datetime import UTC, datetime


def main() -> None:
    journal, rate, seconds, prefix, names = sys.argv[1:]
    with open(names, encoding="utf-8") as file:
        logs = file.read().split("\n")
    every_s, count = 1 / float(rate), int(float(rate) * float(seconds))
    written = []
    rng = random.Random(prefix)
    began = time.monotonic()
    for number in range(count):
        due = began + number * every_s
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        name, log = f"{prefix}{number:07}", rng.choice(logs)
        written.append((name, append(log, line(name, log))))
    with open(journal, "w", encoding="utf-8") as out:
        out.writelines(f"{name} {moment!r}\n" for name, moment in written)


def line(name: str, log: str) -> bytes:
    """A reply of now."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    session = os.path.basename(log).removesuffix(".jsonl")
    text = "One more line. " * 40
    return (
        f'{{"parentUuid":null,"isSidechain":false,"type":"assistant","timestamp":"{at}","sessionId":"{session}","version":"2.1.229",'
        f'"cwd":"/home/dev/app","requestId":"req_{name}","uuid":"uuid-{name}","message":{{"id":"msg_{name}","type":"message",'
        f'"role":"assistant","model":"claude-opus-4-8","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn",'
        '"usage":{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":20000,"output_tokens":500}}}\n'
    ).encode()


def append(log: str, data: bytes) -> float:
    """Write at the end of a log; gives when it was written."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, data)
        return time.time()
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
