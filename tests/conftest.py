"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# The settings of whoever runs the tests are not theirs.
os.environ["TOKENTAIL_CONFIG"] = os.path.join(os.path.dirname(__file__), "no-such-config.toml")

# A test says what is so, not how long it takes: that is for the benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
