"""The only place that knows how buckets are written: `s3://bucket/prefix`, `gs://…`, `az://…`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, TypeAlias

SCHEMES = ("s3", "gs", "az")
WHOLE_BYTES = 1 << 16  # a cursor up to here: an object is fetched from its start, so that one request proves its head and its marker
Place: TypeAlias = Path | str  # a folder, or the address of a bucket
is_address = re.compile(rf"({'|'.join(SCHEMES)})://").match
_OTHERS = {"gcs": "gs", "azure": "az", "abfs": "az", "abfss": "az", "wasb": "az", "wasbs": "az", "s3a": "s3", "s3n": "s3"}


class Address(NamedTuple):
    """A bucket, or what of it has names that begin with a prefix."""

    scheme: str
    bucket: str  # of Azure: the container
    prefix: str  # without slashes at its ends; "" for all of it

    @property
    def top(self) -> str:
        """The whole bucket's address."""
        return f"{self.scheme}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.top}/{self.prefix}" if self.prefix else self.top


def parse(text: str) -> Address:
    """
    What an address says.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    scheme, found, rest = text.partition("://")
    if not found or scheme not in SCHEMES:
        near = _OTHERS.get(scheme.lower())
        raise ValueError(f"addresses begin with {', '.join(f'{each}://' for each in SCHEMES)}" + (f"; write {near}://" if near else ""))
    bucket, _, prefix = rest.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise ValueError(f"a bucket's name is missing, or is none (write {scheme}://BUCKET/PREFIX)")
    if not prefix.isprintable() or any(part in (".", "..") for part in prefix.split("/")):
        raise ValueError("the prefix holds what no name of an object has")
    return Address(scheme, bucket, "/".join(part for part in prefix.split("/") if part))


def place(text: str) -> Place:
    """
    A folder, or an address as it is always written.

    Raises:
        ValueError: it is meant as an address, and is none.
    """
    return str(parse(text)) if re.match(r"[A-Za-z0-9]+://", text) else Path(text).expanduser()
