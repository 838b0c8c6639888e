"""The only place that knows which file systems keep to themselves what others write to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MOUNTINFO = "/proc/self/mountinfo"

# Network file systems, those that a program answers for, and what a virtual machine shows of its host: a write on the other
# side makes no event here.
_NETWORKS = "afs beegfs ceph cifs coda gfs2 glusterfs lustre ncpfs nfs nfs4 ocfs2 orangefs smb3 smbfs"
_HOSTS = "9p drvfs prl_fs vboxsf virtiofs vmhgfs"
_SILENT = frozenset(f"fuse {_NETWORKS} {_HOSTS}".split())
_ESCAPE = re.compile(r"\\([0-7]{3})")


def silent_areas(roots: Iterable[str], mountinfo: str = MOUNTINFO) -> dict[str, str]:
    """The roots on such a file system and the mounts of one below a root, each with the type; empty where there is no table of mounts."""
    mounts = dict(_mounts(mountinfo))  # of two mounts on one folder the later hides the earlier
    areas: dict[str, str] = {}
    for root in roots:
        inner = {point: kind for point, kind in mounts.items() if f"{point}/".startswith(f"{root.rstrip('/')}/")}
        inner.setdefault(root, _kind_at(root, mounts))
        areas.update((point, kind) for point, kind in inner.items() if _is_silent(kind))
    return areas


def _is_silent(kind: str) -> bool:
    return kind in _SILENT or kind.startswith("fuse.")


def _kind_at(path: str, mounts: dict[str, str]) -> str:
    outer = [point for point in mounts if f"{path}/".startswith(f"{point.rstrip('/')}/")]
    return mounts[max(outer, key=len)] if outer else ""


def _mounts(mountinfo: str) -> Iterator[tuple[str, str]]:
    """
    Mount points and types, in the order in which they were mounted.

    Source: proc_pid_mountinfo(5): the mount point is the fifth word, the type the first one after a lone hyphen.
    """
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as table:
            lines = table.read().split("\n")
    except OSError:
        return
    for line in lines:
        before, hyphen, after = line.partition(" - ")
        if hyphen and len(words := before.split(" ")) > 4:
            yield _ESCAPE.sub(lambda found: chr(int(found[1], 8)), words[4]), after.split(" ")[0]
