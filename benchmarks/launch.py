"""
Starts one program and says what it took, as a small process of its own: a child's peak memory includes that of whoever started it.

Words: the file for the figures, the file for the program's output, the program and its words.
"""

import json
import os
import sys
import time


def main() -> None:
    figures, output, *words = sys.argv[1:]
    to_file = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [(os.POSIX_SPAWN_OPEN, 1, output, to_file, 0o600), (os.POSIX_SPAWN_OPEN, 2, output + ".err", to_file, 0o600)]
    before = read_bytes()
    began = time.perf_counter()
    child = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
    _, status, used = os.wait4(child, 0)
    wall_s = time.perf_counter() - began
    peak = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
    with open(figures, "w", encoding="utf-8") as file:
        json.dump([os.waitstatus_to_exitcode(status), wall_s, used.ru_utime + used.ru_stime, peak, read_bytes() - before], file)


def read_bytes() -> int:
    """What this process and those it has waited for have read."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            return int(file.read().partition("rchar:")[2].split()[0])
    except OSError:
        return 0


main()
