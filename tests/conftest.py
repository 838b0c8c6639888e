"""What holds for all tests."""

from __future__ import annotations

import os

# The settings of whoever runs the tests are not theirs.
os.environ["TOKENTAIL_CONFIG"] = os.path.join(os.path.dirname(__file__), "no-such-config.toml")
