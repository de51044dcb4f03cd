"""How processes on the same cores share them: how their threads wait, and how many there are.

GNU's OpenMP, which PyTorch's packages for Linux bring, has a thread that waits for others spin for
milliseconds. Where another process has the core that the other thread needs, both lose that time at
every barrier, hundreds of times a text. A thread that spins for some microseconds and then sleeps
costs nothing where the cores are free, and little where they are not (docs/results.md, "Beside
neighbours").

The number of threads follows the cores that this process may use, not how busy they are: what is
busy at the start says little about later, and beside busy neighbours one thread was slower as often
as faster (docs/results.md, "Beside neighbours").
"""

from __future__ import annotations

import math
import os
from pathlib import Path

SPINS = "1000"
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def share_cores() -> None:
    """Have this process's OpenMP threads, and those of its children, leave cores to others.

    It sets environment variables, and only those that are not set yet. They are read when torch is
    imported, so call it before that. The command line does; `import ponder` does not, since a
    program's environment is its own.
    """
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # heard by every OpenMP
        os.environ["GOMP_SPINCOUNT"] = SPINS  # by GNU's, which would not spin at all
    if usable_cores() < _affine_cores():  # OpenMP goes by the latter itself
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def usable_cores() -> int:
    """Return how many cores this process may keep busy: by its affinity and its cgroups' quota."""
    quota = _quota()
    # Part of a core counts as one, or it would go unused.
    return _affine_cores() if math.isinf(quota) else min(_affine_cores(), math.ceil(quota))


def _affine_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(own_cgroup: Path = _OWN_CGROUP, cgroups: Path = _CGROUPS) -> float:
    """Return the cores' worth of time that cgroups (version 2) allow; infinite where none does."""
    try:
        entries = own_cgroup.read_text().splitlines()
    except OSError:  # no Linux
        return math.inf
    # "0::/a/b" names the group, whose parents' quotas hold as well. Other lines are of version 1.
    inner = next((entry[3:] for entry in entries if entry.startswith("0::")), "/")
    group = cgroups / inner.lstrip("/")
    quota = math.inf
    for folder in (group, *group.parents):
        if not folder.is_relative_to(cgroups):
            break
        try:
            allowed, period = (folder / "cpu.max").read_text().split()
        except OSError:  # the outermost group has none
            continue
        if allowed != "max":
            quota = min(quota, int(allowed) / int(period))
    return quota
