"""
Take docs/page-*.webp: the page on the demo's logs, in Chromium.

Usage: scripts/page_pictures.py [FOLDER]

The server goes by the clock of the machine, so each run shows other days.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from playwright.sync_api import Browser, Page, expect  # noqa: E402

from browsing import Served, browser, served  # noqa: E402
from tokentail import database, demo, prices  # noqa: E402
from tokentail.demo import said  # noqa: E402
from tokentail.demo.live import LiveWriter  # noqa: E402

MOST_BYTES = 150_000
QUALITY = 0.86
WRITTEN = 120  # lines, while the page is open
BUDGETS = (
    '[budgets."a day"]\nmeasure = "cost"\nthreshold = 40\n\n[budgets."a month"]\nmeasure = "cost"\nthreshold = 900\nperiod = "month"\n'
)
# The browser that took a picture packs it, too.
PACK = """async ([png, quality]) => {
  const picture = new Image();
  picture.src = "data:image/png;base64," + png;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const packed = await canvas.convertToBlob({ type: "image/webp", quality });
  return await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(",")[1]);
    reader.readAsDataURL(packed);
  });
}"""


class Picture(NamedTuple):
    name: str
    scheme: str = "dark"
    width: int = 1440
    height: int = 1180
    scale: float = 1.25
    opened: str = ""  # what is clicked before


PICTURES = (
    Picture("page"),
    Picture("page-reply", height=900, opened="#feed li:nth-child(4) .link"),
    Picture("page-phone", "light", width=390, height=844, scale=1.5),
)


def take(page: Page, picture: Picture) -> bytes:
    """A picture as PNG, once all is drawn."""
    expect(page.locator(".state")).to_have_text("live")
    expect(page.locator("canvas")).to_have_count(3)
    expect(page.locator("[aria-busy]")).to_have_count(0)
    expect(page.locator("#feed li[data-key]").first).to_be_visible()
    if picture.opened:
        page.locator(picture.opened).click()
        expect(page.get_by_role("dialog")).to_contain_text("Rules")
    page.wait_for_timeout(3000)  # what has just come is marked for a moment
    return page.screenshot()


def pack(page: Page, png: bytes) -> bytes:
    page.goto("about:blank")
    return base64.b64decode(page.evaluate(PACK, [base64.b64encode(png).decode(), QUALITY]))


def take_all(chrome: Browser, server: Served, into: Path) -> None:
    for picture in PICTURES:
        size = {"width": picture.width, "height": picture.height}
        context = chrome.new_context(viewport=size, color_scheme=picture.scheme, device_scale_factor=picture.scale)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(server.address)
        png = take(page, picture)
        packed = pack(page, png)
        (into / f"{picture.name}.webp").write_bytes(packed)
        if into != ROOT / "docs":
            (into / f"{picture.name}.png").write_bytes(png)
        print(f"wrote {picture.name}.webp ({len(packed) / 1000:.0f} kB)", file=sys.stderr)
        assert len(packed) <= MOST_BYTES
        context.close()


def main() -> None:
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    with tempfile.TemporaryDirectory(prefix="tokentail-pictures-") as made:
        folder = Path(made)
        config = folder / "config.toml"
        config.write_text(BUDGETS, encoding="utf-8")
        demo.write_demo(folder / "logs", now=datetime.now(UTC))
        writer = LiveWriter(folder / "logs", seed=7, clock=time.time, sleep=time.sleep)
        with served(folder, config=config) as server, browser() as chrome:
            with closing(database.open_to_add(server.store, wait_ms=10_000)) as db:
                said.say(db, prices.load(), int(time.time() * 1000))
            for _ in range(WRITTEN):
                writer.append_one()
            take_all(chrome, server, into)


if __name__ == "__main__":
    main()
