"""A Bloom filter before the ledger's look-up of known groups (benchmarks/bloom.py) changes no count, however often it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROOF = "import sys; from pathlib import Path; from benchmarks import bloom; print(bloom.prove(Path(sys.argv[1]), replies=4000).values[0])"


def test_a_filter_that_is_nearly_always_wrong_gives_the_same_store(tmp_path: Path) -> None:
    """Whatever it takes for known is looked up, so all rows of all tables are those of a store without it."""
    ran = subprocess.run([sys.executable, "-c", PROOF, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert float(ran.stdout) >= 90
