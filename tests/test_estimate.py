"""Tests of `tokentail.estimate`: the formula of docs/counting.md, and how far off it is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import coordinator, line, record, replies_in, usage, write_logs
from tokentail import estimate
from tokentail.formats import Look
from tokentail.sources import LocalFolders


def look(text: int = 0, tool: int = 0, signature: int = 0, uuid: str = "u1") -> Look:
    return Look(record(), uuid, text, tool, signature)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-opus-4-6", round(0.242 * 1000 + 0.288 * 500 + 0.214 * 200 + 46)),
        ("claude-haiku-4-5-20251001", round(0.242 * 1000 + 0.288 * 500 + 0.214 * 200 + 46)),
        ("claude-3-7-sonnet-20250219", round(0.242 * 1000 + 0.288 * 500 + 0.214 * 200 + 46)),
        ("claude-opus-4-7", round(0.315 * 1000 + 0.418 * 500 + 0.282 * 200 + 22)),
        ("claude-sonnet-5", round(0.315 * 1000 + 0.418 * 500 + 0.282 * 200 + 22)),
        ("us.anthropic.claude-opus-5-5-v1:0", round(0.315 * 1000 + 0.418 * 500 + 0.282 * 200 + 22)),
        ("another-make-1", None),
    ],
)
def test_the_tokenizer_is_that_of_the_model(model: str, expected: int | None) -> None:
    """One up to version 4.6, another from 4.7 on; nothing is known of other makes."""
    assert estimate.output_of(model, 1, [look(1000, 500, 200)]) == expected


@given(st.integers(0, 10**6), st.lists(st.builds(look, *[st.integers(0, 10**5)] * 3, st.sampled_from(["", "u1", "u2"])), min_size=1))
def test_an_estimate_is_never_below_what_was_logged(logged: int, looks: list[Look]) -> None:
    """That much is certain."""
    found = estimate.output_of("claude-opus-5", logged, looks)
    assert found is not None
    assert found >= logged


def test_lines_of_one_uuid_are_one_line() -> None:
    """A fork copies them; lines without a uuid are each their own."""
    once, twice = (estimate.output_of("claude-opus-5", 0, [look(1000, uuid="u1")] * count) for count in (1, 2))
    assert once == twice
    assert estimate.output_of("claude-opus-5", 0, [look(1000, uuid="")] * 2) == round(0.315 * 2000 + 22)


def test_without_a_line_there_is_no_estimate() -> None:
    """Nothing is known then but what was logged."""
    assert estimate.output_of("claude-opus-5", 5, []) is None


# Its error, on replies whose count is known: made-up text of as many tokens as the fit says, with the spread that was measured


def logs_with_hidden_counts(folder: Path, count: int) -> Iterator[tuple[str, int, bytes]]:
    """Replies (id, true output, line without a final count) of lengths as in real logs."""
    made = random.Random(7)
    for number in range(count):
        text, tool, signature = (int(made.lognormvariate(6, 1.2)) for _ in range(3))
        content = [
            {"type": "text", "text": "x" * text},
            {"type": "tool_use", "input": {"a": "y" * tool}},
            {"type": "thinking", "thinking": "", "signature": "z" * signature},
        ]
        true = round((0.315 * text + 0.418 * (tool + 8) + 0.282 * signature + 22) * made.gauss(1, 0.2))
        message = {"id": f"msg_{number}", "model": "claude-opus-5", "stop_reason": None, "usage": usage(2), "content": content}
        yield f"msg_{number}", max(true, 2), line(f"msg_{number}", message=message)


def test_over_many_replies_an_estimate_is_close(tmp_path: Path) -> None:
    """Errors of a fifth either way, as measured on real replies, cancel out in the sum: it is right within 5 %."""
    made = list(logs_with_hidden_counts(tmp_path, 400))
    logs = write_logs(tmp_path / "logs", {"-home-dev-app/s1.jsonl": b"".join(data for _, _, data in made)})
    with closing(coordinator(logs, tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        found = estimate.outputs(engine.db, list(replies_in(engine.db).values()), LocalFolders([logs]))
    true = {name: count for name, count, _ in made}
    assert found.keys() == true.keys()
    assert 0.95 < sum(found.values()) / sum(true.values()) < 1.05


def test_a_reply_with_an_estimate_is_still_not_final(tmp_path: Path) -> None:
    """Its cost stays a lower bound in every report."""
    logs = write_logs(tmp_path / "logs", {"-home-dev-app/s1.jsonl": line(stop_reason=None)})
    with closing(coordinator(logs, tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        (reply,) = replies_in(engine.db).values()
    assert estimate.with_output(reply, 999)._replace(tokens=reply.tokens) == reply
