"""Tests of `tokentail.addresses`: what is a bucket's address, what is a folder, and what is neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail import database
from tokentail.addresses import Address, parse, place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://team", Address("s3", "team", "")),
        ("s3://team/", Address("s3", "team", "")),
        ("gs://team/logs//claude/", Address("gs", "team", "logs/claude")),
        ("az://my-container/a b/ü", Address("az", "my-container", "a b/ü")),
    ],
)
def test_what_an_address_says(text: str, expected: Address) -> None:
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3:/team", "addresses begin with"),
        ("/var/logs", "addresses begin with"),
        ("S3://team", "addresses begin with"),
        ("gcs://team", "write gs://"),
        ("abfss://team", "write az://"),
        ("https://team.example.org/logs", "addresses begin with"),
        ("s3://", "a bucket's name is missing"),
        ("s3:///logs", "a bucket's name is missing"),
        ("s3://-x", "a bucket's name is missing"),
        ("s3://team/../other", "no name of an object"),
        ("s3://team/a\x1b[2J", "no name of an object"),
        ("s3://team\n/a", "a bucket's name is missing"),
    ],
)
def test_what_is_no_address(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


@given(st.text())
def test_any_text_is_an_address_or_said_to_be_none(text: str) -> None:
    """What is one is written in one way only."""
    try:
        found = parse(f"s3://{text}")
    except ValueError:
        return
    assert parse(str(found)) == found


@pytest.mark.parametrize("word", ["logs", "./s3:/x", "~/logs", "/a/s3://b"])
def test_a_folder_is_a_folder(word: str) -> None:
    assert place(word) == Path(word).expanduser()


def test_each_choice_of_places_has_its_store(tmp_path: Path) -> None:
    """In whatever order they are named; a folder is no bucket of its name."""
    choices: list[list[Path | str]] = [["s3://a", tmp_path], [tmp_path, "s3://a"], ["s3://a"], ["gs://a"], [Path("s3:/a")]]
    paths = [database.store_path(tmp_path, places) for places in choices]
    assert paths[0] == paths[1]
    assert len(set(paths)) == 4
