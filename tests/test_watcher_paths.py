"""Tests of `tokentail.watcher.paths`."""

from __future__ import annotations

from tokentail.watcher.paths import child, outermost, parent, within


def test_paths() -> None:
    """Whole names are compared, and the root folder is a folder like others."""
    assert within("/a/b/c", {"/a", "/a/b"}) == "/a/b"
    assert within("/a/b", {"/a/b"}) == "/a/b"
    assert within("/ab", {"/a"}) is None
    assert within("/a", {"/"}) == "/"
    assert outermost({"/a", "/a/b", "/ab", "/c/d"}) == {"/a", "/ab", "/c/d"}
    assert outermost({"/", "/a"}) == {"/"}
    assert (child("/", "a"), child("/a", "b"), parent("/a"), parent("/a/b")) == ("/a", "/a/b", "/", "/a")
