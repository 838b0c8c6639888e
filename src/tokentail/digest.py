"""The only place that picks a hash: BLAKE2b, without OpenSSL, which `hashlib` loads first and which takes a report 10 ms."""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:  # another Python than CPython
    from hashlib import blake2b

__all__ = ["blake2b", "hex_digest"]


def hex_digest(data: bytes, size_bytes: int = 16) -> str:
    """A hash as lower-case hexadecimal digits."""
    return blake2b(data, digest_size=size_bytes).hexdigest()
