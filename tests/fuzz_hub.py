"""
Hostile bodies by the million against what a hub takes in, by hand: `PYTHONPATH=tests python tests/fuzz_hub.py 1000000`.

Each is refused, or all of it can be kept and shown: a store that has all of them at once still answers. tests/test_hub.py sends a
thousand of the same kind to a real hub.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from itertools import count

from builders import memory_store, record, replies_in, usage
from hub import body_of, hostile, seed
from test_wire import as_protobuf
from tokentail import merge, prices
from tokentail.fleet.sessions import by_session
from tokentail.fleet.wire import Batch, Malformed
from tokentail.model import ReplyChange
from tokentail.reports.as_json import feed_json
from tokentail.web.taking import Refused, decoded, inflated

KEPT_AT_ONCE = 500  # batches in one store


def main(words: list[str]) -> int:
    wanted, began, met = int(words[0]) if words else 10_000, time.perf_counter(), Counter[str]()
    rng = random.Random(seed())
    honest = body_of(
        record("msg_1", usage=usage(7, iterations=[{"type": "compaction", "input_tokens": 5, "model": "claude-haiku-4-5"}])),
        record("msg_2", usage=usage(3, service_tier="batch", output_tokens_details={"thinking_tokens": 2}), sidechain=True),
    )
    protobuf = as_protobuf(honest)
    kept: list[Batch] = []
    for number in range(wanted):
        body, kind, is_packed = hostile(rng, honest, protobuf)
        try:
            batch = decoded(inflated(body) if is_packed else body, kind)
        except Malformed as error:
            met[str(error)] += 1
            continue
        except Refused as error:
            met[str(error.status)] += 1
            continue
        met["kept"] += 1
        kept.append(batch)
        if len(kept) == KEPT_AT_ONCE or number == wanted - 1:
            _keep(kept)
            kept.clear()
    for said, times in met.most_common():
        print(f"{times:>9,}  {said}")
    print(f"{wanted:>9,}  bodies in {time.perf_counter() - began:.0f} s, seed {seed()}")
    return 0


def _keep(batches: list[Batch]) -> None:
    """All of them in one store, which must answer; a second time they change nothing."""
    store, known = memory_store(), prices.load()
    for batch in batches:
        store.take(batch.records, batch.folders)
        for each in batch.records:
            assert merge.form_of(each.form)
            assert merge.canonical(each)
    assert sum(store.take(batch.records, batch.folders) for batch in batches) == 0
    for number, (key, reply) in zip(count(1), replies_in(store.connection).items(), strict=False):
        feed_json(ReplyChange(number, "new", key, reply), known)
    for user, host in {(each.owner.user, each.owner.host) for batch in batches for each in batch.records}:
        by_session(store.connection, user, host)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
