"""A measured program: its log, and the /proc figures of it and its child processes."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.demo_process import ROOT

PATIENCE = 60  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, order=True)
class Memory:
    """Memory in MB. rss: resident; pss: shared pages counted in proportion; uss: unshared pages only."""

    rss: float
    pss: float
    uss: float


class Process:
    """Runs until `stop`."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("a") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def has_failed(self) -> bool:
        return bool(self._process.poll())

    def stop(self) -> None:
        if self.has_ended:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def kill_a_child(self) -> None:
        """Kill one of its child processes."""
        children = [pid for pid in self._family() if pid != self._process.pid]
        os.kill(children[-1], signal.SIGKILL)

    def cpu(self) -> float:
        """Return the seconds of CPU, user and system, of the process and its children."""
        return sum(cpu_of(pid) for pid in self._family())

    def memory(self) -> Memory:
        """Return the memory of its largest process."""
        return max(_memory(pid) for pid in self._family())

    def _family(self) -> Iterator[int]:
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that one process has used, user and system."""
    # The program's name, in brackets, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / TICKS


def _memory(pid: int) -> Memory:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    mb = {name: int(kb) / 1024 for name, kb in re.findall(r"^(\w+): +(\d+) kB", rollup, re.MULTILINE)}
    return Memory(rss=mb["Rss"], pss=mb["Pss"], uss=mb["Private_Clean"] + mb["Private_Dirty"])
