"""Tests of `tokentail.spelling`: what a name that is none may have meant."""

from __future__ import annotations

from tokentail.spelling import near


def test_near_names() -> None:
    """What has the word in it comes before what is spelt like it."""
    names = ["claude-opus-5", "claude-opus-4-8", "claude-haiku-4-5"]
    assert near("opus", names) == ["claude-opus-4-8", "claude-opus-5"]
    assert near("claude-opas-5", names)[0] == "claude-opus-5"
    assert near("zzz", names) == []


def test_a_very_long_name_is_answered_at_once() -> None:
    """By its beginning, so that nobody waits for a comparison of thousands of letters."""
    assert near("claude-opus-5" + "5" * 100_000, ["claude-opus-5", "x"]) == []
