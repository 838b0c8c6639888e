"""The last line: the keys that mean something where one is."""

from __future__ import annotations

from textual.widgets import Footer


class Keys(Footer):
    """
    Textual's, which forgets its keys when it makes others.

    As it is, each key that it ever showed stays known to it, some 25 kB for each: whoever changes pages all day would fill 100 MB.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    async def recompose(self) -> None:
        await super().recompose()
        for watching in getattr(self, "__watchers", {}).values():
            watching[:] = [(node, callback) for node, callback in watching if node.is_attached]
