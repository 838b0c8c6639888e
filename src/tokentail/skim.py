"""
The only place that counts without a store and leaves out those parts of logs that cannot matter to what is asked.

A reply is what all lines of its group say together (R3, R7, R10), wherever they stand. So what may hold a line that was asked for is
read first, and then every other stretch that holds a line of the same groups; these are complete then, and no others are given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain

from tokentail.criteria import Criterion, During, OfProjects
from tokentail.model import Listing, LogFile, Problem, Reply, Source
from tokentail.recount import PIECE_BYTES, WHOLE, Announce, Part, Range, Reject, Seen, Tally, TornError, project_of, proof
from tokentail.stretches import STRETCH_BYTES, cut, grown
from tokentail.time_index import PROOF_BYTES, Indexed, Stretch, hashed, proof_bytes, stamp_of


class Skim:
    """
    Logs, as far as they were read.

    Attributes:
        changed: what was learnt of logs, by path.
    """

    def __init__(
        self,
        source: Source,
        known: Mapping[str, Indexed],
        *,
        announce: Announce | None = None,
        piece_bytes: int = PIECE_BYTES,
        stretch_bytes: int = STRETCH_BYTES,
    ) -> None:
        """
        Reads what is not known, or not any more.

        Args:
            known: what is known of logs, by path: what was `changed` before.
            announce: hears what will be read, [start, end), before it is: a source that is far away can ask for several ranges at once.
        """
        self._announce = announce or (lambda _: None)
        self.changed: dict[str, Indexed] = {}
        self._source, self._piece_bytes, self._stretch_bytes = _Witness(source), piece_bytes, stretch_bytes
        self._listing = self._source.list_files()
        self._tally = Tally(self._listing.problems)
        self._files = {file.path: file for file in self._listing.files}
        self._projects = {file.path: project_of(file) for file in self._listing.files}
        self._names: dict[str, tuple[int, str]] = {}  # slug -> least (time, cwd)
        self._unread: dict[str, list[Stretch]] = {}
        self._chosen: set[str] = set()  # groups that are complete
        self._announce(list(chain.from_iterable(_to_take(file, known.get(file.path)) for file in self._listing.files)))
        for file in self._listing.files:
            self._take(file, known.get(file.path))
        self._unnamed = self._with_usage() - self._all_names().keys()

    @property
    def paths(self) -> Collection[str]:
        """Where logs stand."""
        return self._files.keys()

    @property
    def problems(self) -> Sequence[Problem]:
        return self._tally.problems

    @property
    def malformed_lines(self) -> int:
        """In all logs, also where they were not read."""
        return self._tally.malformed_lines + sum(stretch.malformed_lines for _, stretch in self._all_unread())

    @property
    def bytes_read(self) -> int:
        return self._source.bytes_read

    @property
    def bytes_skipped(self) -> int:
        return sum(stretch.end_bytes - stretch.start_bytes for _, stretch in self._all_unread())

    def folders(self) -> dict[str, str]:
        """Every project's slug and folder, as all logs name them; "" of those that no log names."""
        return {**dict.fromkeys(self._projects.values(), ""), **self.project_names()}

    def project_names(self) -> dict[str, str]:
        """The slugs of projects whose folder a log names, with the earliest."""
        return {slug: cwd for slug, (_, cwd) in self._all_names().items()}

    def first_from(self, at_ms: int) -> int | None:
        """The first moment, from that one on, of which there may be something unread."""
        return min((max(each.least_ms, at_ms) for _, each in self._all_unread() if During(at_ms, None).may_hold("", each)), default=None)

    def last_before(self, at_ms: int) -> int | None:
        """The last such moment before that one."""
        return max(
            (min(each.greatest_ms, at_ms - 1) for _, each in self._all_unread() if During(None, at_ms).may_hold("", each)), default=None
        )

    def want(self, criterion: Criterion) -> None:
        """
        Read what may belong to those replies.

        Raises:
            TornError: a log was changed meanwhile; nothing of what was read is of use.
        """
        # A report names projects by their replies where no log names them, so these have to be there.
        unnamed = OfProjects(self._unnamed)
        self._read_where(lambda path, stretch: any(each.may_hold(self._projects[path], stretch) for each in (criterion, unnamed)))
        found = {
            group
            for group, records in self._tally.groups.items()
            if any(criterion.holds(record.alone) or unnamed.holds(record.alone) for record in records)
        }
        hashes = set(map(hashed, found - self._chosen))
        self._read_where(lambda _, stretch: not hashes.isdisjoint(stretch.groups))
        self._chosen |= found

    def replies(self) -> list[Reply]:
        """All that were wanted, and maybe others, each as all of its lines make it; by time, then by key."""
        return self._tally.recount(self._chosen).replies

    def _all_unread(self) -> Iterator[tuple[str, Stretch]]:
        return ((path, stretch) for path, stretches in self._unread.items() for stretch in stretches)

    def _with_usage(self) -> set[str]:
        """The slugs of all projects that have a line that counts."""
        read = (record.alone.owner.project for records in self._tally.groups.values() for record in records)
        return {*read, *(self._projects[path] for path, stretch in self._all_unread() if stretch.groups)}

    def _all_names(self) -> dict[str, tuple[int, str]]:
        names = dict(self._names)
        for slug, named in self._tally.names.items():
            names[slug] = min(names.get(slug, named), named)
        return names

    # What is new

    def _take(self, file: LogFile, known: Indexed | None) -> None:
        """Read what is not known of a file."""
        if known is None or not self._take_known(file, known):
            self._take_whole(file)

    def _take_known(self, file: LogFile, known: Indexed) -> bool:
        """Read what a file has gained; False where it is not certain that it has only grown."""
        is_same = known.stamp == stamp_of(file)
        if not is_same and not self._has_grown(file, known):
            return False
        if not is_same or known.has_tail:
            part = Part(known.end_bytes, None, proof_bytes(known.end_bytes), bytes.fromhex(known.marker_hash))
            try:
                if not self._take_part(file, part, None if is_same else known):
                    return False
            except TornError:
                return False
        self._unread[file.path] = list(known.stretches)
        self._name(file, known)
        return True

    def _has_grown(self, file: LogFile, known: Indexed) -> bool:
        """Is it longer, and as it was at its start?"""
        if file.size_bytes <= known.size_bytes:
            return False
        try:
            head = self._source.read(file, 0, proof_bytes(known.end_bytes))
        except OSError:
            return False
        return proof(head).hex() == known.head_hash

    def _take_whole(self, file: LogFile) -> None:
        self._take_part(file, WHOLE, _NOTHING)

    def _take_part(self, file: LogFile, part: Part, before: Indexed | None) -> bool:
        """Read a part of a file, and learn what it adds to what was known before, where that is asked for. False: it cannot be read."""
        self._source.begin()
        self._tally.notes = [] if before is not None else None
        end = self._tally.read(self._source, file, part, piece_bytes=self._piece_bytes)
        notes, self._tally.notes = self._tally.notes, None
        if end is not None and before is not None and notes is not None:
            self._learn(file, before, part.start_bytes, end, notes)
        return end is not None

    def _learn(self, file: LogFile, before: Indexed, start: int, end: int, notes: Sequence[Seen | Reject]) -> None:
        length = proof_bytes(end)
        head, marker = self._source.head[:length], self._source.last(end - length, end)
        if marker is None:  # it was read too long ago: behind it stands a line that is very long and has not ended
            return
        # Of more than a head's worth the head is what it was.
        head_hash = before.head_hash if proof_bytes(before.end_bytes) == length else proof(head).hex()
        notes = [note for note in notes if note.offset_bytes < end]
        named = ((note.alone.at_ms, note.folder) for note in notes if isinstance(note, Seen) and note.folder)
        known = ((before.folder_ms, before.folder),) if before.folder else ()
        folder_ms, folder = min(chain(known, named), default=(0, ""))
        stretches = grown(before.stretches, list(cut(notes, start, end, self._stretch_bytes)), self._stretch_bytes)
        self.changed[file.path] = Indexed(
            *(stamp_of(file), file.size_bytes, end, head_hash, proof(marker).hex()),
            *(end < self._source.end, folder_ms, folder, tuple(stretches)),
        )

    def _name(self, file: LogFile, known: Indexed) -> None:
        if known.folder:
            slug, named = self._projects[file.path], (known.folder_ms, known.folder)
            self._names[slug] = min(self._names.get(slug, named), named)

    # What is known and was left out

    def _read_where(self, is_wanted: Callable[[str, Stretch], bool]) -> None:
        wanted = {path: [stretch for stretch in stretches if is_wanted(path, stretch)] for path, stretches in self._unread.items()}
        runs = [(self._files[path], *run) for path, stretches in wanted.items() if stretches for run in _runs(stretches)]
        self._announce([(file, start - min(start, 1), end) for file, start, end in runs])
        for file, start, end in runs:
            self._read_run(file, start, end)
        for path, stretches in wanted.items():
            read = {stretch.start_bytes for stretch in stretches}
            self._unread[path] = [stretch for stretch in self._unread[path] if stretch.start_bytes not in read]

    def _read_run(self, file: LogFile, start: int, end: int) -> None:
        part = Part(start, end, min(start, 1), _NEWLINE)
        if self._tally.read(self._source, file, part, piece_bytes=self._piece_bytes) is None:
            raise TornError(file.path)


def _to_take(file: LogFile, known: Indexed | None) -> Iterator[Range]:
    """What will be read of a log at first, if it has only grown."""
    start = 0 if known is None else known.end_bytes - proof_bytes(known.end_bytes)
    if (known is None or known.stamp != stamp_of(file) or known.has_tail) and start < file.size_bytes:
        yield file, start, file.size_bytes


class _Witness:
    """A source that remembers the beginning and the end of what was read of a file."""

    def __init__(self, source: Source) -> None:
        self.bytes_read = 0
        self._source = source
        self.begin()

    @property
    def names(self) -> Sequence[str]:
        return self._source.names

    @property
    def end(self) -> int:
        """How far was read."""
        return self._pieces[-1][0] + len(self._pieces[-1][1]) if self._pieces else 0

    def begin(self) -> None:
        """Another file follows."""
        self.head = b""
        self._pieces: list[tuple[int, bytes]] = []

    def list_files(self) -> Listing:
        return self._source.list_files()

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        data = self._source.read(file, start_bytes, length_bytes)
        self.bytes_read += len(data)
        if start_bytes <= len(self.head) < PROOF_BYTES:
            self.head = (self.head[:start_bytes] + data)[:PROOF_BYTES]
        self._pieces.append((start_bytes, data))
        while sum(len(each) for _, each in self._pieces[1:]) >= _KEPT_BYTES:
            del self._pieces[0]
        return data

    def last(self, start: int, end: int) -> bytes | None:
        """Those bytes; None where they are not among the last that were read."""
        found = b"".join(data[max(start - at, 0) : max(end - at, 0)] for at, data in self._pieces)
        return found if len(found) == end - start else None


_KEPT_BYTES = 64 * PROOF_BYTES
_NOTHING = Indexed("", 0, 0, proof(b"").hex(), proof(b"").hex(), False, 0, "", ())
_NEWLINE = proof(b"\n")


def _runs(stretches: Sequence[Stretch]) -> Iterator[tuple[int, int]]:
    """Those that meet as one; [start, end)."""
    start, end = stretches[0].start_bytes, stretches[0].start_bytes
    for stretch in stretches:
        if stretch.start_bytes != end:
            yield start, end
            start = stretch.start_bytes
        end = stretch.end_bytes
    yield start, end
