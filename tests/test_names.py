"""Tests of `tokentail.reports.names`: short, and still one for each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentail.reports import names


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-sonnet-4-5-20250929", "sonnet 4.5"),
        ("claude-opus-5", "opus 5"),
        ("claude-3-5-haiku-20241022", "haiku 3.5"),
        ("us.anthropic.claude-opus-4-6-v1:0", "opus 4.6"),
        ("glm-5", "glm-5"),
        ("[red]x\x1b[2J", "[red]x\ufffd[2J"),
    ],
)
def test_model_has_the_name_that_people_use(model: str, name: str) -> None:
    """Family and version; a name of another make is shown as it is, made harmless."""
    assert names.model_name(model) == name


def test_models_that_would_share_a_name_keep_their_own() -> None:
    """Two rows of one name would look like a mistake."""
    models = ["claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "claude-opus-5"]
    assert list(names.model_names(models).values()) == ["claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "opus 5"]


def test_ids_that_begin_alike_are_longer() -> None:
    """Eight characters tell most sessions apart; where they do not, it takes as many as it takes."""
    ids = ["3f2a91c4-7c1e", "3f2a91c4-d002", "77e01b2c-0000", "s1"]
    assert list(names.short_ids(ids).values()) == ["3f2a91c4-7", "3f2a91c4-d", "77e01b2c", "s1"]


@settings(deadline=None, max_examples=200)
@given(st.sets(st.text(st.sampled_from("ab"), max_size=14)))
def test_each_id_is_the_only_one_of_its_name(ids: set[str]) -> None:
    """A short id is the beginning of one id, and of no other that is not whole itself."""
    short = names.short_ids(ids)
    assert short.keys() == ids
    assert len(set(short.values())) == len(ids)
    assert all(each.startswith(name) for each, name in short.items())
