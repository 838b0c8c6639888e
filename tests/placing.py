"""Places to put logs into, by the same words: a folder of this machine, or a bucket of one of the clouds."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from clouds import BUCKET, Cloud
from logs import PRICES, QUICK
from tokentail.config import Remote
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import Update
from tokentail.sources import LiveSource, open_source

WHERE = ("folder", "s3", "gs", "az")
_numbers = itertools.count()


class Placed(NamedTuple):
    """A place with logs, and a store for them."""

    name: str  # as `--source` takes it
    cloud: Cloud | None
    folder: Path  # of the store; of the logs, too, where they are in no cloud
    prefix: str

    @classmethod
    def in_(cls, cloud: Cloud | None, folder: Path) -> Placed:
        """One that nothing else uses."""
        if cloud is None:
            (folder / "logs").mkdir()
            return cls(str(folder / "logs"), None, folder, "")
        prefix = f"place-{next(_numbers)}"
        return cls(f"{cloud.scheme}://{BUCKET}/{prefix}", cloud, folder, prefix)

    def put(self, name: str, data: bytes) -> None:
        """A log with that content, in the place of one that was there."""
        if self.cloud is not None:
            self.cloud.put(f"{self.prefix}/{name}", data)
            return
        path = Path(self.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, name: str) -> None:
        if self.cloud is not None:
            self.cloud.delete(f"{self.prefix}/{name}")
        else:
            (Path(self.name) / name).unlink()

    def path(self, name: str) -> str:
        return f"{self.name}/{name}"

    def source(self, *, interval_s: int = 60) -> LiveSource:
        return open_source([self.name if self.cloud else Path(self.name)], Remote(interval_s=interval_s))

    @contextlib.contextmanager
    def coordinator(self, *, interval_s: int = 60) -> Iterator[UpdateCoordinator]:
        made = UpdateCoordinator(self.source(interval_s=interval_s), self.folder / "store.db", prices=PRICES, pace=QUICK)
        with contextlib.closing(made):
            yield made


@contextlib.contextmanager
def following(coordinator: UpdateCoordinator) -> Iterator[Iterator[Update]]:
    """Updates as they come; followed until the block ends."""
    stop = threading.Event()
    updates = coordinator.follow(stop)
    try:
        yield updates
    finally:
        stop.set()
        coordinator.wake()
        with contextlib.suppress(StopIteration):
            while True:
                next(updates)
