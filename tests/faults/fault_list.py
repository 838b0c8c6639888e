"""The list of faults: the only place that says how each is brought about, what comes of it, and which test shows that."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """
    Something that goes wrong.

    Attributes:
        shown_by: scenarios by their ids, and other tests as file::name.
    """

    id: str
    title: str
    injection: str
    outcome: str
    shown_by: tuple[str, ...]


EXACT = "each reply once"
NAMED = "each reply once; named as it happens"

FAULTS = (
    # Content
    Fault("F01", "a partial line, cut anywhere", "two appends", EXACT, ("S03", "S04", "S05", "S56")),
    Fault("F02", "a cut inside a character", "two appends", EXACT, ("S06",)),
    Fault("F03", "CR and LF apart", "two appends", EXACT, ("S07",)),
    Fault("F04", "a byte order mark", "at the start of a log", EXACT, ("S09",)),
    Fault(
        "F05",
        "lines at the limit and beyond",
        "64 MiB and one byte more, 640 MiB",
        "good lines once; a reject each for the others",
        ("S10", "test_parser.py::test_line_around_the_limit"),
    ),
    Fault(
        "F06",
        "a hole of NULs",
        "a sparse file of 500 MB",
        "good lines once, in bounded memory",
        ("S11", "test_parser.py::test_hole_of_nul_bytes"),
    ),
    Fault(
        "F07", "broken JSON, bytes that are no text", "appended between good lines", "good lines once; rejects counted and named", ("S11",)
    ),
    Fault("F08", "empty and blank lines", "appended", EXACT, ("S08",)),
    # Life of a file
    Fault("F09", "rotation by rename, late writes", "a writer that keeps its file", EXACT, ("S14", "S15")),
    Fault("F10", "a cascade of rotations", "renames in a row", EXACT, ("S16", "S17", "test_tracker.py::test_cascade_of_rotations")),
    Fault(
        "F11",
        "copied and cut to nothing",
        "writers with and without O_APPEND",
        EXACT + "; a line behind a hole is a reject",
        ("S19", "S20"),
    ),
    Fault("F12", "cut and grown again", "to less, as much and more, same and other beginning", EXACT, ("S21", "S22")),
    Fault("F13", "cut in the middle", "between lines and within one", EXACT, ("S23",)),
    Fault("F14", "an inode given again", "unlink and create until it is the same", EXACT, ("S24", "S25", "S26")),
    Fault("F15", "replaced at once", "rename over it: more, other, less", EXACT, ("S27",)),
    Fault(
        "F16",
        "rewritten with the same size and time",
        "in place, utime",
        "the new values",
        ("S28", "test_tracker.py::test_rewrite_of_the_same_size_and_time"),
    ),
    Fault("F17", "the same beginning", "5 bytes, a kilobyte, all", EXACT, ("S29",)),
    Fault("F18", "a copy, a hard link", "by a user", EXACT, ("S30", "S31")),
    Fault("F19", "links", "turned, dangling, in a circle, out of the tree", EXACT + "; the circle is named", ("S32", "S44")),
    Fault(
        "F20",
        "deleted unread",
        "unlink, rename out of the tree",
        "what was in a log that was read before, once; of others a part, nothing twice",
        ("S18", "F20-held", "S53", "S55", "test_sources_handles.py::test_lines_of_a_log_that_was_deleted_count"),
    ),
    Fault(
        "F21",
        "compressed logs: grown, cut, padded, made of a plain one",
        "gzip members and zstd frames, appended whole and in parts",
        EXACT + "; damage named",
        ("S17", "S47", "S48", "test_sources_inflated.py::test_a_member_that_is_cut_is_completed"),
    ),
    # Tree
    Fault(
        "F22",
        "a rename between listing, opening and descending",
        "done by the reader's own process right before",
        EXACT,
        (
            "S34",
            "test_coordinator.py::test_file_that_goes_away_before_it_is_read",
            "test_coordinator.py::test_file_that_is_renamed_before_it_is_read",
        ),
    ),
    Fault(
        "F23",
        "deep folders written to at once",
        "mkdir -p, then write",
        EXACT,
        ("S37", "test_watcher_inotify.py::test_made_while_a_watch_is_set_up"),
    ),
    Fault("F24", "trees moved in, renamed, moved out", "rename", EXACT + "; nothing that is written outside", ("S38",)),
    Fault(
        "F25",
        "the root deleted and made again",
        "rm -r",
        EXACT,
        ("S39", "test_tracker.py::test_root_that_is_removed_and_comes_back", "test_watcher_inotify.py::test_root_removed_and_made_again"),
    ),
    Fault(
        "F26",
        "no permission, no descriptor, an error of the disk",
        "chmod 000 and a reader that is nobody, RLIMIT_NOFILE, a source that fails",
        NAMED,
        ("S35", "S36", "F26"),
    ),
    Fault(
        "F27",
        "hostile names, pipes, folders named like logs",
        "made",
        EXACT,
        ("S54", "F27", "test_tracker.py::test_hostile_names_in_the_store", "test_watcher_inotify.py::test_hostile_names"),
    ),
    # Watching
    Fault("F28", "more events than the kernel keeps", "SIGSTOP, 18 000 events, SIGCONT", EXACT, ("S40", "test_watcher.py::test_overflow")),
    Fault("F29", "the limit of watches", "a user namespace that allows 20", NAMED, ("S41", "test_watcher.py::test_real_limit_of_watches")),
    Fault(
        "F30",
        "the limit of instances",
        "a user namespace that allows none",
        NAMED,
        ("S42", "test_watcher.py::test_real_limit_of_instances"),
    ),
    Fault(
        "F31",
        "a mute watcher",
        "a watcher that tells nothing",
        NAMED,
        ("F31", "S02", "test_watcher.py::test_mute_system", "test_watcher.py::test_mute_folder"),
    ),
    Fault(
        "F32",
        "the watching thread ends or hangs",
        "a watcher that raises, or sleeps",
        NAMED,
        ("S43", "F32", "test_watcher.py::test_thread_that_never_lasts", "test_watcher.py::test_thread_that_hangs"),
    ),
    Fault("F33", "events twice, late, out of order, of nothing", "a watcher that tells them so", EXACT, ("F33",)),
    Fault(
        "F34",
        "writes without events",
        "a memory map, a hard link outside, a link's target outside",
        EXACT,
        ("S44", "test_watcher.py::test_written_through_a_map", "test_watcher.py::test_written_through_a_name_elsewhere"),
    ),
    Fault(
        "F35",
        "clocks",
        "utime: back, still, ahead; two appends in a tick",
        EXACT,
        ("S45", "S46", "test_watcher_poller.py::test_two_appends_in_one_second"),
    ),
    # State
    Fault(
        "F36",
        "killed at a commit",
        "SIGKILL before, within and after each",
        EXACT,
        (
            "S13",
            "test_real_processes.py::test_killed_at_a_commit",
            "test_database.py::test_a_pass_that_is_killed_loses_and_doubles_nothing",
        ),
    ),
    Fault(
        "F37",
        "a full disk",
        "a small tmpfs in a namespace; RLIMIT_FSIZE",
        "named once; each reply once when there is room; a command ends and says so",
        (
            "F37",
            "test_patience.py::test_no_room_for_more_pages",
            "test_database.py::test_a_full_disk",
            "test_database.py::test_no_room_for_the_store",
        ),
    ),
    Fault(
        "F38",
        "a store that is read-only or damaged",
        "permissions, a read-only mount, rubbish, lost pages, a cut log",
        "waited for, refused, or replaced and said so; nothing counted is lost that can be read",
        (
            "F38",
            "F38-damage",
            "S49",
            "test_database.py::test_any_page_may_be_lost",
            "test_database.py::test_a_read_only_disk",
            "test_database.py::test_the_files_beside_the_store_may_vanish",
        ),
    ),
    Fault("F39", "a newer store", "PRAGMA user_version", "refused", ("S49", "test_database.py::test_a_newer_store_is_left_alone")),
    Fault("F40", "an older backup put back", "copied", EXACT, ("S51", "test_coordinator.py::test_store_that_was_restored_from_a_backup")),
    Fault(
        "F41", "loss of power", "the write-ahead log cut anywhere", EXACT, ("test_database.py::test_a_write_ahead_log_may_be_cut_anywhere",)
    ),
    Fault(
        "F42",
        "two readers, a long read, a stopped leader",
        "processes, SIGSTOP, a transaction",
        NAMED,
        ("S50", "test_coordinator.py::test_busy_store", "test_database.py::test_two_processes_take_turns"),
    ),
    # Load
    Fault("F43", "thousands of logs at once", "4 000, made while the reader starts", EXACT, ("S52",)),
    Fault("F44", "a backlog beside live logs", "three logs of 20 MB each", EXACT, ("S52",)),
    Fault("F45", "nobody reads the feed", "a pipe that is not drained", EXACT, ("F45",)),
    Fault("F46", "thousands of appends a second", "over 500 logs", EXACT, ("F46",)),
    Fault("F47", "20 open files", "RLIMIT_NOFILE", EXACT, ("S36", "test_sources_local.py::test_few_descriptors")),
    Fault(
        "F48", "rotated faster than anybody looks", "60 times without a pause", "a part, nothing twice; nobody can know the rest", ("F48",)
    ),
)

# What no test here brings about, and why.
NOT_INJECTED = (
    ("loss of power itself", "a test cannot cut the power; the file images that it may leave are made (F41)"),
    ("an error of a real disk", "it is raised where the log is read (F26)"),
    (
        "a network file system",
        "none can be mounted without root; that one is polled is shown by `test_watcher.py::test_network_file_system`",
    ),
    ("the system's clock set back", "it needs root and would hit other processes; the times of files are set instead (S45)"),
    (
        "file systems that keep whole seconds",
        "none can be mounted without root; times are compared for being equal only, and with size, inode and ctime",
    ),
    (
        "a log replaced by another of the same size and inode, within one tick of the file system's clock (some 4 ms) of a look at it",
        "not noticed until it changes again: its size, times and inode are all as they were, and such a file is not opened",
    ),
    ("10 000 logs, a backlog of 2 GB", "4 000 and 60 MB here; the full size belongs to the benchmarks"),
    ("macOS and Windows", "the suite needs Linux"),
)
