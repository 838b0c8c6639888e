"""The only place that knows how log files are found and read in buckets: one listing for all of them, and ranges of those that changed."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tokentail.addresses import WHOLE_BYTES, Address, parse
from tokentail.digest import blake2b
from tokentail.model import Change, Listing, LogFile, Problem
from tokentail.sources import clouds
from tokentail.sources.ahead import Ahead, Want
from tokentail.sources.clouds import NO_SETTINGS, Access
from tokentail.sources.inflated import Inflated, is_compressed
from tokentail.sources.local import is_log_name, outermost

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PAGE = 1_000  # objects of a listing that are handed over at once
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


class Buckets:
    """
    Objects whose names begin with a prefix and end as log files do, at any depth.

    An object is what its name and its ETag say: it is never changed, only replaced, and whatever has another ETag is proven and read
    anew from its cursor on. Every request says which ETag it is about, and every answer is held against it.
    """

    def __init__(self, addresses: Iterable[str], access: Access = NO_SETTINGS, *, is_strict: bool = False) -> None:
        """
        Nobody is asked yet.

        Args:
            is_strict: also an object that others have listed is read only as long as it is what they saw.

        Raises:
            ValueError: one of them is no address.
        """
        self._shown = tuple(dict.fromkeys(str(parse(address)) for address in addresses))
        self._roots = [parse(root) for root in outermost(self._shown)]
        self._access = access
        self._is_strict = is_strict
        self._stores: dict[str, ObjectStore] = {}
        self._tags: dict[str, str] = {}  # by path: the ETag that the latest listing gave
        # By root: what stood there at the latest listing that came through. Replaced whole, since another thread may be reading it.
        self._listed: dict[str, dict[str, LogFile]] = {str(root): {} for root in self._roots}
        self._complete: set[str] = set()  # the roots whose latest listing did
        self._ahead = Ahead(self.fetch)
        self._inflated = Inflated(self._read_raw)
        self.held: Callable[[LogFile, int], memoryview | None] = _nothing  # what is here already of an object, from a place on
        self._lock = threading.Lock()

    @property
    def names(self) -> Sequence[str]:
        return self._shown

    def list_files(self) -> Listing:
        """
        All objects, by a listing of each root.

        Raises:
            SourceError: what is needed for it is not installed, or the settings make no sense.
        """
        problems: list[Problem] = []
        for root in self._roots:
            try:
                found, tags = self._list(root)
            except OSError as error:
                problems.append(Problem(str(root), error.strerror or str(error)))
                continue
            self._tags.update(tags)
            self._listed[str(root)] = found
        files = self.listed()
        listed = [files[path] for path in sorted(files)]
        damaged = ((file, self._inflated.damage(file)) for file in listed if is_compressed(file.path))
        return Listing(listed, [*problems, *(Problem(file.path, why) for file, why in damaged if why)])

    def listed(self) -> Mapping[str, LogFile]:
        """What stood there at the latest listings that came through, by path."""
        return {path: file for found in self._listed.values() for path, file in found.items()}

    def look_again(self, file: LogFile) -> LogFile | None:
        """The object as the latest listing saw it."""
        return next((found[file.path] for found in self._listed.values() if file.path in found), None)

    def is_gone(self, file: LogFile) -> bool:
        """Is it certainly not among the logs any more? A listing that did not come through proves nothing."""
        for root in self._roots:
            if _is_within(file.path, root):
                return str(root) in self._complete and file.path not in self._listed[str(root)]
        return True

    def has_gone(self, file: LogFile, error: OSError) -> bool:
        """Could it not be read because it was deleted or replaced since the listing?"""
        return error.errno in (errno.ENOENT, errno.ESTALE)

    def damage(self, file: LogFile) -> str:
        """Why a compressed log could not be read to its end; "" where nothing is wrong with it."""
        return self._inflated.damage(file)

    def expect(self, changes: Iterable[Change]) -> None:
        """These will be read, in this order: what they gained is fetched ahead."""
        self._ahead.expect(want for change in changes for want in self.wanted(change))

    def announce(self, ranges: Iterable[tuple[LogFile, int, int]]) -> None:
        """These ranges will be read, in this order; where a range of a compressed log stands in its object is not known."""
        self._ahead.expect(Want(*each) for each in ranges if not is_compressed(each[0].path))

    def wanted(self, change: Change) -> Iterator[Want]:
        """What the parser will read of an object: from the proof before its cursor on, or all of it where that costs the same."""
        cursor = change.life.cursor if change.life else None
        if is_compressed(change.file.path):
            if cursor is None:
                yield Want(change.file, 0, change.file.size_bytes)
            return
        start = cursor.offset_bytes - cursor.marker_bytes if cursor is not None and cursor.offset_bytes > WHOLE_BYTES else 0
        if start < change.file.size_bytes:
            yield Want(change.file, start, change.file.size_bytes)

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """
        Fill `buffer` with the bytes from `start_bytes` on; fewer only at the end, as it was listed.

        Raises:
            OSError: it cannot be read, or was replaced since it was listed.
        """
        read = self._inflated.read_into if is_compressed(file.path) else self._read_raw
        return read(file, start_bytes, buffer)

    def _read_raw(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        held = self.held(file, start_bytes)
        if not held:
            return self._ahead.read_into(file, start_bytes, buffer)
        length = min(len(held), len(buffer))
        buffer[:length] = held[:length]
        return length

    def fetch(self, file: LogFile, start_bytes: int, length_bytes: int) -> memoryview:
        """
        Ask for a range of an object as it was listed. May be called by any thread.

        Raises:
            OSError: as above.
        """
        import obstore
        import obstore.exceptions

        bucket, key = _bucket_and_key(file)
        options: Any = {"range": (start_bytes, start_bytes + length_bytes)}
        if tag := self._tag(file):
            options["if_match"] = f'"{tag}"'  # some servers want quotes around it, and none minds them
        try:
            answer = obstore.get(self._store(bucket), key, options=options)
            found = _bare(answer.meta["e_tag"])
            data = memoryview(answer.bytes())
        except (obstore.exceptions.BaseError, OSError) as error:
            raise clouds.as_os_error(error, file.path) from error
        if (tag and found != tag) or (
            self._is_strict and file.ctime_ns != _number(found)
        ):  # not every server minds what it was asked about
            raise OSError(errno.ESTALE, "it was replaced while it was read", file.path)
        return data

    def _tag(self, file: LogFile) -> str:
        """The ETag that a range must have; "" for an object that we have not listed, which whoever reads it holds against what is known."""
        tag = self._tags.get(file.path, "")
        if tag and file.ctime_ns not in (_number(tag), in_part(_number(tag))):
            raise OSError(errno.ESTALE, "it was replaced since it was listed", file.path)
        return tag

    def _list(self, root: Address) -> tuple[dict[str, LogFile], dict[str, str]]:
        import obstore
        import obstore.exceptions

        files: dict[str, LogFile] = {}
        tags: dict[str, str] = {}
        self._complete.discard(str(root))
        try:
            for page in obstore.list(self._store(root._replace(prefix="")), root.prefix or None, chunk_size=_PAGE):
                for meta in page:
                    if is_log_name(meta["path"]):
                        file, tag = _log_file(root, meta["path"], meta["size"], meta["last_modified"], meta["e_tag"])
                        files[file.path], tags[file.path] = file, tag
        except (obstore.exceptions.BaseError, OSError) as error:
            raise clouds.as_os_error(error, str(root)) from error
        self._complete.add(str(root))
        return files, tags

    def _store(self, bucket: Address) -> ObjectStore:
        with self._lock:
            if bucket.top not in self._stores:
                self._stores[bucket.top] = clouds.open_store(bucket, self._access)
            return self._stores[bucket.top]


def _nothing(file: LogFile, start_bytes: int) -> memoryview | None:
    return None


def in_part(number: int) -> int:
    """The mark of an object that is shown only as far as it has been fetched: it is not what was listed."""
    return number ^ 1


def _is_within(path: str, root: Address) -> bool:
    return path.startswith(f"{root}/")


def _bucket_and_key(file: LogFile) -> tuple[Address, str]:
    bucket = parse(file.root)._replace(prefix="")
    return bucket, file.path[len(bucket.top) + 1 :]


def _log_file(root: Address, key: str, size_bytes: int, modified: datetime, tag: str | None) -> tuple[LogFile, str]:
    """An object in the words of a file: its bucket, its name and its ETag as numbers, to be compared for being equal only."""
    path = f"{root.top}/{key}"
    relative = key[len(root.prefix) + 1 :] if root.prefix else key
    bare = _bare(tag)
    mtime_ns = (modified - _FIRST_MOMENT) // timedelta(microseconds=1) * 1_000
    return LogFile(path, str(root), relative, _number(root.top), _number(path), size_bytes, mtime_ns, _number(bare)), bare


def _bare(tag: str | None) -> str:
    return (tag or "").removeprefix("W/").strip('"')


def _number(text: str) -> int:
    """62 bits, which every store holds."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()) >> 2
