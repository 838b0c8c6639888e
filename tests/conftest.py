"""What holds for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from clouds import CLOUDS, Cloud

# The settings of whoever runs the tests are not theirs.
os.environ["TOKENTAIL_CONFIG"] = os.path.join(os.path.dirname(__file__), "no-such-config.toml")

# A test says what is so, not how long it takes: that is for the benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def cloud_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cloud]]:
    """A server of each cloud's protocol, started when a test first asks for it and kept for the others."""
    running: dict[str, Cloud] = {}

    def get(scheme: str) -> Cloud:
        if scheme not in running:
            running[scheme] = CLOUDS[scheme](tmp_path_factory.mktemp("clouds") / scheme)
        return running[scheme]

    yield get
    for cloud in running.values():
        cloud.stop()
