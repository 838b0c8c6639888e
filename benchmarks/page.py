"""
The page in Chromium: how soon it is painted, how late a reply is on it, and what the browser has to fetch.

A latency runs from the moment when the writer's `write` returned to the beginning of the frame after the one that shows the reply.
"""

from __future__ import annotations

import gzip
import shutil
import time
from pathlib import Path
from statistics import quantiles

from benchmarks.bench import Bench
from benchmarks.measure import MeasureError
from benchmarks.results import Row
from benchmarks.web import Server, on_made_up_logs, write_lines

RATE = 10  # replies a second
MAX_PAINTED_MS, MAX_LATE_P99_MS, MAX_BYTES = 1000, 100, 400_000
STATIC = Path(__file__).resolve().parents[1] / "src" / "tokentail" / "web" / "static"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
_FILLED = "document.querySelector('#today .money') && document.querySelector('#feed li[data-key]') ? performance.now() : 0"
_WATCH = """() => {
  window.seen = {};
  new MutationObserver((changes) => {
    const keys = changes.flatMap(({ addedNodes }) => [...addedNodes]).map((node) => node.dataset?.key).filter(Boolean);
    requestAnimationFrame(() => keys.forEach((key) => (window.seen[key] ??= Date.now())));
  }).observe(document.querySelector("#feed"), { childList: true, subtree: true });
}"""


def run(bench: Bench) -> list[Row]:
    """First visits with nothing kept, and replies that come while the page is open."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not (STATIC / "index.html").is_file() or not chromium:
        raise MeasureError("it needs the built page (make web) and Chromium (make setup)")
    with on_made_up_logs(bench) as (server, log):
        return [_size(), *_measured(bench, server, log, chromium)]


def _size() -> Row:
    packed = sum(len(gzip.compress(path.read_bytes(), 9)) for path in STATIC.rglob("*") if path.suffix in (".js", ".css"))
    return Row(what="page: scripts and styles, compressed", values=(packed / 1000,), unit="kB", at_most=MAX_BYTES / 1000)


def _measured(bench: Bench, server: Server, log: Path, chromium: str) -> list[Row]:
    from playwright.sync_api import sync_playwright

    painted, filled = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        for _ in range(bench.runs):
            page = browser.new_page(viewport={"width": 1440, "height": 900}, bypass_csp=True)
            page.goto(f"http://127.0.0.1:{server.port}/")
            filled.append(float(page.wait_for_function(_FILLED, polling="raf").json_value()))
            painted.append(float(page.evaluate(_PAINT)))
            page.close()
        page = browser.new_page(viewport={"width": 1440, "height": 900}, bypass_csp=True)
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.wait_for_function(_FILLED)
        time.sleep(3.0)
        page.evaluate(_WATCH)
        written = write_lines(log, bench.seconds, RATE)
        page.wait_for_timeout(2000)
        seen: dict[str, float] = page.evaluate("window.seen")
        browser.close()
    if missing := [key for key in written if key.decode() not in seen]:
        raise MeasureError(f"{len(missing)} of {len(written)} replies never came to the page")
    late = [seen[key.decode()] - at * 1000 for key, at in written.items()]
    cuts = quantiles(late, n=100, method="inclusive")
    return [
        Row(what="page: first contentful paint", values=tuple(painted), unit="ms", at_most=MAX_PAINTED_MS),
        Row(what="page: cards and requests are there", values=tuple(filled), unit="ms"),
        Row(what=f"page, {RATE} replies/s: shown, p50", values=(cuts[49],), unit="ms"),
        Row(
            what=f"page, {RATE} replies/s: shown, p99",
            values=(cuts[98],),
            unit="ms",
            at_most=MAX_LATE_P99_MS,
            note=f"({len(late)} replies)",
        ),
    ]
