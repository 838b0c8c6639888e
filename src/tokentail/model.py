"""The nouns that every part of tokentail shares, and the constants of the counting rules; no behaviour beyond arithmetic."""

from __future__ import annotations

# Named tuples and plain classes, no dataclasses: importing those takes 10 ms and making each one 0.5 to 1 ms, which is a
# quarter of the time that a report on an unchanged tree may take.
import re
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

# The rules' constants. Rn is a rule of docs/counting.md.
MAX_COUNT = 2**53  # R1: a greater integer is no count
MAX_LINE_BYTES = 64 * 2**20  # a longer line is skipped and counted as malformed
USAGE_MARK = b'"usage"'  # R1: only lines that hold it can carry usage
SYNTHETIC_MODEL = "<synthetic>"  # R2: made locally, never billed
RULES_VERSION = 1  # raised by every change to what the rules give; the store is then re-derived

# What was unusual about the usage that was counted (R1, R5); bits of `Reply.flags`.
TTL_ASSUMED = 1  # cache writes without a 5 minute / 1 hour split: taken as 5 minutes
SPLIT_MISMATCH = 2  # the split does not add up to the total of cache writes: the split is kept
INVALID_COUNT = 4  # a count was negative, too great or no integer: taken as 0


def is_word(said: str) -> bool:
    """Can a text in a usage object be one of its words? At most 40 characters, no space, nothing that controls; the rest is prose."""
    return len(said) <= 40 and _NO_WORD.search(said) is None


def word(said: object) -> str:
    """
    A word of a usage object: its speed, region or service tier. "" for prose, which says nothing and is not kept.

    Also for what looks like the hash that the store keeps instead of prose.
    """
    return said if isinstance(said, str) and is_word(said) and not (said.startswith("#") and len(said) == 33) else ""


_NO_WORD = re.compile("[\x00-\x20\x7f\ud800-\udfff]")


class Tokens(NamedTuple):
    """A reply's five counters; each token is counted in exactly one of them."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def prompt(self) -> int:
        """All that was sent to the model: what the long-context price depends on."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        return self.prompt + self.output


class Owner(NamedTuple):
    """Where a copy of a reply stands; of all copies' owners the least one owns the reply (R7), so the order of the fields matters."""

    copied: bool  # made by a fork or a background hand-over
    subagent: bool  # stands in a subagent's file
    session: str
    project: str  # the slug: the folder under `projects`
    agent: str  # the subagent's id, "" for the main conversation
    user: str = ""  # whose machine said it, and which one: "" for what the logs of this one say
    host: str = ""


class Extra(NamedTuple):
    """Usage that is billed besides the message itself, at its own model (R6): a compaction, an advisor."""

    model: str
    tokens: Tokens


class Reply(NamedTuple):
    """One answer of a model, as the counting rules resolve it from all its log lines."""

    key: str  # unique and stable: K of R3, followed by "/" and the request id where one id serves several requests
    id: str  # the message id as logged, "" where there is none
    at_ms: int  # milliseconds since 1970, UTC: the smallest timestamp of its lines
    model: str
    version: str  # of the agent that wrote the log
    tokens: Tokens
    extras: tuple[Extra, ...]
    web_searches: int
    final: bool  # False: the output count is a lower bound
    flags: int
    speed: str
    geo: str
    service_tier: str
    owner: Owner


class Record(NamedTuple):
    """The best of the log lines that share a group, a request id and the sidechain flag (R10); `merge` joins them."""

    group: str  # K of R3: a message id, "uuid:...", "line:..."
    request_id: str  # "" for none
    sidechain: bool
    at_ms: int  # the least timestamp of the lines
    model: str
    version: str
    tokens: Tokens
    thinking: int
    form: str  # the winner's usage with its counters blanked, see merge.form_of
    flags: int
    stopped: bool  # the winning line had a stop_reason
    final: bool  # any line had one
    web_searches: int  # the greatest of the lines
    owner: Owner  # the least of the lines


class ReplyChange(NamedTuple):
    """What became of a reply in a commit."""

    seq: int  # grows by commit
    event: str  # new, grown, corrected, gone
    key: str
    reply: Reply | None  # as it stands now; None when it is gone


class LogFile(NamedTuple):
    """One log file as a listing saw it."""

    path: str  # the real path, with undecodable bytes as surrogates
    root: str  # the folder that was searched
    relative: str  # from `root` to the file, the way it was found, "/" between the parts
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class Cursor(NamedTuple):
    """
    How far a file was read, and the proof that the bytes before are unchanged.

    `offset_bytes` is just after a newline. The hashes cover committed bytes only: the first `head_bytes` (at most 1024)
    and the last `marker_bytes` (at most 1024) before the offset.
    """

    offset_bytes: int = 0
    head_bytes: int = 0
    head_hash: bytes = b""
    marker_bytes: int = 0
    marker_hash: bytes = b""


START = Cursor()


class Life(NamedTuple):
    """One append-only life of a file: it ends when a proof fails, and another one begins at offset 0."""

    id: int
    file: LogFile
    state: str  # live, missing (the file is gone), rewritten (ended)
    cursor: Cursor


class Change(NamedTuple):
    """A file that may hold something new."""

    file: LogFile
    life: Life | None  # None: read it from the start, as a new life
    ends: Life | None  # the life that this file replaces at its path, if any


class Reject(NamedTuple):
    """A line that could not be read."""

    offset_bytes: int
    reason: str


class Chunk:
    """The complete lines that a file gained since its cursor, joined into records."""

    __slots__ = (
        *("bytes_read", "change", "cursor", "folder", "more", "records", "rejects", "restarted", "seen_offsets"),
        *("seen_records", "start_bytes", "tail_lines"),
    )

    def __init__(
        self,
        change: Change,
        restarted: bool,
        start_bytes: int,
        cursor: Cursor,
        records: list[Record] | None = None,
        seen_records: array[int] | None = None,
        seen_offsets: array[int] | None = None,
    ) -> None:
        self.change = change
        self.restarted = restarted  # the file is read from its start, as a new life: it is new, or a proof failed
        self.start_bytes = start_bytes
        self.cursor = cursor  # after the chunk
        self.records = records or []
        # For each line with usage: the index of its record, and its offset from start_bytes.
        self.seen_records = seen_records or array("I")
        self.seen_offsets = seen_offsets or array("I")
        self.tail_lines = 0  # how many of those, at the end, lie behind the cursor: a last line without its newline
        self.rejects: list[Reject] = []
        self.folder: tuple[int, str] | None = None  # the least (at_ms, working folder)
        self.bytes_read = 0
        self.more = False  # the file goes on behind this chunk

    @property
    def file_so_far(self) -> LogFile:
        """The file as far as it is read with this chunk: one that goes on looks changed until all of it was."""
        file = self.change.file
        return file._replace(size_bytes=self.cursor.offset_bytes, mtime_ns=0, ctime_ns=0) if self.more else file


class Problem(NamedTuple):
    """A file or folder that could not be read, or a guarantee that was lost."""

    where: str
    why: str


class Listing(NamedTuple):
    files: list[LogFile]  # sorted by path, each real path once
    problems: list[Problem]


class Source(Protocol):
    """A place that holds log files."""

    @property
    def names(self) -> Sequence[str]:
        """What a person calls it: the folders that are searched."""

    def list_files(self) -> Listing:
        """Every log file that is there now."""

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        """
        The bytes from `start_bytes` on, at most `length_bytes`; fewer only at the end of the file.

        Raises:
            OSError: the file cannot be read.
        """


class Cell(NamedTuple):
    """Replies that share all that a price depends on, added up."""

    at_ms: int  # a moment of the time in which they were written and no price changed
    model: str
    project: str
    prompt_class: int  # how many of the price list's long-context thresholds the prompts exceed
    speed: str
    geo: str
    service_tier: str
    tokens: Tokens
    replies: int
    not_final: int
    web_searches: int


class Window(NamedTuple):
    """A stretch of time that goes into a row of a report; [start, end). A row may have several."""

    key: str  # the row's
    start_ms: int
    end_ms: int


class Usage(NamedTuple):
    """What was used in a window."""

    window: int  # its number among those that were asked about
    owner: Owner  # with empty names where these were not asked about
    cell: Cell
    first_ms: int  # the moments of the first reply and of the last one
    last_ms: int
    part: int = 0  # of a question that tells parts apart, see `Provenance`


class Counts(NamedTuple):
    """What a row of a report holds; the names are those of the report contract (docs/json.md)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    total_tokens: int = 0
    replies: int = 0
    not_final_replies: int = 0
    web_searches: int = 0
    cost_usd: float | None = 0.0  # None: nothing in the row has a price
    cost_is_lower_bound: bool = False  # a part has no price, or an output count is not final


class Row(NamedTuple):
    """A line of a report: its key (a day, a model, ...), what was counted, and what else its kind of report says."""

    key: str
    counts: Counts
    about: SessionFacts | ProjectFacts | MachineFacts | BlockFacts | None = None
    models: tuple[Row, ...] = ()  # on request: its models, costliest first
    provenance: Provenance | None = None  # on request
    not_final: Counts | None = None  # on request: of the replies whose output count is not final
    estimate: Estimated | None = None  # on request


class Provenance(NamedTuple):
    """What of a row's counts stands where; a reply is in the first part that one of its lines is in."""

    on_disk: Counts  # in logs that are there now
    deleted: Counts  # only in files that were deleted
    rewritten: Counts  # only in lines that a rewrite removed
    elsewhere: Counts  # in no log of this machine: another one sent it


class Estimated(NamedTuple):
    """A row's counts with estimates in the place of output counts that are not final: no counts, and never shown without saying so."""

    replies: int  # that were estimated
    output_tokens: int  # of all of the row
    total_tokens: int
    cost_usd: float | None


class SessionFacts(NamedTuple):
    """What a report says of a session besides its counts, which include those of its subagents."""

    project: str  # the slug
    name: str  # the project's shown name
    first_ms: int  # the moments of its first reply and of its last one
    last_ms: int
    subagents: int
    by_subagents: Counts  # what these used
    agents: tuple[Row, ...] = ()  # on request: each of them, by its id
    host: str = ""  # the machine and the person; "" is this machine
    user: str = ""


class ProjectFacts(NamedTuple):
    """What a report says of a project besides its counts."""

    name: str  # as shown
    folder: str  # "" where no log names it
    slugs: tuple[str, ...]  # one, or those that were grouped
    first_ms: int
    last_ms: int


class MachineFacts(NamedTuple):
    """What a report says of a host or a user besides their counts."""

    first_ms: int
    last_ms: int


class BlockFacts(NamedTuple):
    """What a report says of a five-hour window besides its counts."""

    end_ms: int  # when it ends by the clock
    first_ms: int
    last_ms: int
    pace: Pace | None  # of the window that is still running


class Pace(NamedTuple):
    """How fast the running window is used, from its first reply until now, and where that leads; of all usage in it."""

    minutes_left: float
    tokens_per_minute: float
    cost_usd_per_hour: float | None  # None: nothing in it has a price
    projected_tokens: int
    projected_cost_usd: float | None


class Notes(NamedTuple):
    """What a reader of a report must know beside its numbers."""

    not_final_replies: int = 0
    unpriced_models: tuple[str, ...] = ()
    malformed_lines: int = 0
    degraded: tuple[str, ...] = ()


class LogsRead(NamedTuple):
    """How much of the logs a count without a store read."""

    bytes_read: int
    bytes_skipped: int  # of which an index says that they do not matter


class Report(NamedTuple):
    """A whole report: rows oldest first, their totals and the notes."""

    name: str
    timezone: str
    sources: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: Counts
    notes: Notes = Notes()
    hints: tuple[str, ...] = ()  # for people: what a name may have meant, why a period has nothing
    provenance: Provenance | None = None  # of the totals, on request
    not_final: Counts | None = None  # likewise
    estimate: Estimated | None = None  # likewise
    logs_read: LogsRead | None = None  # None: the store knew


class Metrics(NamedTuple):
    """What a pass cost and what it found."""

    files_checked: int = 0
    files_read: int = 0
    bytes_read: int = 0
    entries_parsed: int = 0  # lines with usage
    replies_new: int = 0
    replies_grown: int = 0
    replies_corrected: int = 0
    replies_gone: int = 0
    malformed_lines: int = 0
    took_s: float = 0.0

    @property
    def cache_hit_rate(self) -> float:
        """The share of the files that needed no read; 1.0 when there are none."""
        return 1.0 if not self.files_checked else 1 - self.files_read / self.files_checked

    @property
    def is_idle(self) -> bool:
        """Nothing that a person sees came of it."""
        return not (self.files_read or self.replies_new or self.replies_gone)


class Share(NamedTuple):
    """Of several figures the one in the middle, and the one that 99 of 100 are no worse than."""

    p50: float
    p99: float


class Recent(NamedTuple):
    """What the latest looks were like that found something."""

    looks: int
    files_checked: Share
    bytes_read: Share
    entries_parsed: Share
    cache_hit_rate: Share
    took_ms: Share
    late_ms: Share | None  # from a line's being written to its commit; None while nothing was live


class Live(NamedTuple):
    """How a store is followed."""

    leads: bool  # we ingest; otherwise we hear what another process commits
    leader: int  # that one's process id; 0 where it is ours or unknown
    mode: str  # "events", or "polling"
    pending: int  # files of a backlog that are still to be read
    recent: Recent | None = None  # None: we do not lead, or have found nothing yet


class Update:
    """What one pass found."""

    def __init__(
        self,
        started_at_ms: int,
        metrics: Metrics,
        problems: list[Problem],
        degraded: list[str],
        load_changes: Callable[[], list[ReplyChange]],
    ) -> None:
        self.started_at_ms = started_at_ms
        self.metrics = metrics
        self.problems = problems  # files and folders that could not be read
        self.degraded = degraded  # guarantees that were lost, with the reason and what is done instead
        self.catching_up = False  # a part of what was there at the start is still to be read
        self.live: Live | None = None  # None: nobody follows
        self._load_changes = load_changes
        self._changes: list[ReplyChange] | None = None

    @property
    def changes(self) -> list[ReplyChange]:
        """
        The replies that are new, have grown, were corrected or are gone since the update before, in time order across files.

        Also those that another process committed meanwhile. Not what a coordinator's first update fills an empty store with: query that.
        """
        if self._changes is None:
            self._changes = self._load_changes()
        return self._changes
