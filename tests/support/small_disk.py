"""A file system of its own for one test, which may fill it."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class NoDisk(Exception):
    """This user may not mount a file system."""


class SmallDisk:
    """A file system of a fixed size. Use `small_disk`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room while the body runs."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            ballast.unlink()


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Mount a file system of this size. Raises NoDisk."""
    # Not in the test's directory: PostgreSQL runs as another user, who may not enter it.
    path = Path(tempfile.mkdtemp(prefix="disk-"))
    try:
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", path],
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NoDisk(f"mount failed: {error}") from None
        try:
            yield SmallDisk(path)
        finally:
            subprocess.run(["umount", "--lazy", path], check=True)
    finally:
        path.chmod(0o755)
        path.rmdir()
