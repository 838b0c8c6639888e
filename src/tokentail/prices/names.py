"""The only place that knows in how many ways a model's name is written."""

from __future__ import annotations

import re

_MAX_NAME = 200  # characters; nothing longer names a model


def normalise(model: str) -> str:
    """
    The name that a model has in the list, whichever way it is written.

    Drops what does not change the list price: the path, vendor and region before the name; snapshot, revision and context
    window after it. Brings family and version into the list's order: `claude-sonnet-3.7` is `claude-3-7-sonnet`.
    """
    if len(model) > _MAX_NAME:
        return model
    name = _VENDOR.sub("", model.lower().rpartition("/")[2])
    name = _TAIL.sub("", _DOT.sub("-", name))
    match = _BY_FAMILY.fullmatch(name) or _BY_VERSION.fullmatch(name)
    if match is None:
        return name
    family, major, minor = match["family"], int(match["major"]), int(match["minor"] or 0)
    if major < 4:
        return f"claude-{major}-{minor}-{family}" if minor else f"claude-{major}-{family}"
    # The first models of version 4 are the only ones that the list names with their ".0".
    return f"claude-{family}-{major}-{minor}" if minor or major == 4 else f"claude-{family}-{major}"


_VENDOR = re.compile(r"\A(?:[a-z0-9-]+\.)*anthropic\.")
_DOT = re.compile(r"(?<=[0-9])\.(?=[0-9])")
_TAIL = re.compile(
    r"(?:\[1m\]"  # the context window
    r"|[-@]20[0-9]{6}|[-@]20[0-9]{2}-[0-9]{2}-[0-9]{2}|[-@]latest|@default"  # the snapshot
    r"|-v[0-9]{1,2}(?::[0-9]{1,2})?(?::[0-9]{1,4}k)?"  # the revision, on Bedrock
    r")+\Z"
)
_BY_FAMILY = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>[0-9]{1,2})(?:-(?P<minor>[0-9]{1,2}))?")
_BY_VERSION = re.compile(r"claude-(?P<major>[0-9]{1,2})(?:-(?P<minor>[0-9]{1,2}))?-(?P<family>[a-z]+)")
