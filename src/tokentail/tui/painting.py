"""The only place that paints past Textual: one widget at once, or the lines of one from strips that were drawn before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import CompositorUpdate
from textual.strip import Strip
from textual.widget import Widget

# A new reply moves every row of the feed. For that Textual renders all widgets that share lines with it, cuts their strips and
# writes them anew, which takes 5 ms; what has been drawn and stays as it is needs only to be written elsewhere, which takes 0.3 ms.

INTERNALS = {  # what is used of Textual that it does not promise to keep; a test looks whether it is there
    "textual._compositor:CompositorUpdate": ("render_segments",),
    "textual._compositor:Compositor": ("visible_widgets",),
    "textual.app:App": ("_display",),
    "textual.widget:Widget": ("_set_dirty",),
}
INTERNAL_VALUES = {"app": ("_notifications",), "screen": ("_compositor", "_layout_required")}  # the same, of each one that is made


def paint(widget: Widget, draw: Callable[[], Sequence[Strip]]) -> bool:
    """
    Write the lines of a widget's content, as `draw` gives them; False where it has to be refreshed instead.

    What is written is what a refresh would write, so that the two can follow one another in any order.
    """
    if not _is_free(widget):
        return False
    widget._set_dirty()  # what Textual keeps of it is old from here on
    region, ground, strips = widget.content_region, widget.background_colors[1], draw()
    for each in widget.app.get_line_filters():
        strips = [strip.apply_filter(each, ground) for strip in strips]
    widget.app._display(widget.screen, _Lines(region.x, region.y, strips))  # type: ignore[arg-type]  # it takes every CompositorUpdate
    return True


def repaint(widget: Widget) -> None:
    """Show what a widget renders now: at once, or soon where it has to be refreshed. Its frame stays."""

    def draw() -> list[Strip]:
        ground = Style(bgcolor=widget.background_colors[1].rich_color)
        width, height = widget.content_size
        return [widget.render_line(y).adjust_cell_length(width, ground) for y in range(height)]

    if not paint(widget, draw):
        widget.refresh()


def _is_free(widget: Widget) -> bool:
    """There is a terminal, and nothing lies over the widget, cuts it or may move it."""
    app = widget.app
    if app.is_headless or not app.screen_stack or app.screen is not widget.screen or len(app._notifications):
        return False
    if app.screen._layout_required:
        return False
    placed = app.screen._compositor.visible_widgets.get(widget)
    return placed is not None and placed[1].intersection(placed[0]) == placed[0]


class _Lines(CompositorUpdate):
    """Whole lines, from the first one on."""

    def __init__(self, x: int, y: int, strips: Sequence[Strip]) -> None:
        self._x, self._y, self._strips = x, y, strips

    def render_segments(self, console: Console) -> str:
        return "".join(
            f"{Control.move_to(self._x, number).segment.text}{strip.render(console)}" for number, strip in enumerate(self._strips, self._y)
        )
