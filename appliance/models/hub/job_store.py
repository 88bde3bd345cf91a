"""Download jobs on the disk, so that they can be resumed."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from appliance.errors import NoSpace, RequestError
from appliance.models.catalog import names
from appliance.models.hub.client import Repo, RepoFile
from appliance.system.files import replace_file, sync_folder
from appliance.system.units import format_bytes

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)

FOLDER = ".downloads"
"""In the folder of models. What begins with a dot is never looked through for models."""
SPARE_BYTES = 512_000_000
"""Disk space that downloads leave free."""

JobStatus = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]


class Job(msgspec.Struct, kw_only=True):
    """A download."""

    id: str
    repo: Repo
    """With the files that are wanted alone."""
    status: JobStatus
    error: str = ""
    """Why it failed."""
    created_at: int
    """Unix milliseconds."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.repo.files)


class JobFolder:
    """Jobs and the parts of their files, below a folder of models."""

    def __init__(self, models: Path) -> None:
        self.models = models
        self._folder = models / FOLDER
        self._lock: BaseFileLock | None = None
        self.unreadable: tuple[str, ...] = ()
        """Ids of downloads that `kept` left out."""

    @property
    def used(self) -> bool:
        """Something was downloaded before."""
        return self._folder.is_dir()

    def claim(self) -> bool:
        """Whether no other appliance downloads into it.

        Raises:
            NoSpace: the folder cannot be written.
        """
        if self._lock is not None:
            return True
        from filelock import FileLock, Timeout

        lock = FileLock(self._folder / "lock", thread_local=False)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as ex:
            raise NoSpace(f"{self.models} cannot be written: {ex.strerror}") from ex
        self._lock = lock
        return True

    def leave(self) -> None:
        """Another appliance may have it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def part(self, job: Job, number: int) -> Path:
        """Where a job's file grows."""
        return self._folder / job.id / f"{number}.part"

    def final(self, repo: Repo, file: RepoFile) -> Path:
        """Where it is when it is whole; both have names that are safe."""
        return self.models / repo.id / file.path

    def kept(self) -> Iterator[Job]:
        """Jobs that were kept, the oldest first; see `unreadable`."""
        self.unreadable = ()
        for file in sorted(self._folder.glob("*/job.json")):
            try:
                job = msgspec.json.decode(file.read_bytes(), type=Job)
                names.check_repo(job.repo.id)
                for one in job.repo.files:
                    names.check_file(one.path)
            except (OSError, msgspec.DecodeError, RequestError) as ex:
                log.warning("a download that makes no sense is left alone: %s: %s", file, ex)
                self.unreadable = (*self.unreadable, file.parent.name)
                continue
            if job.status in ("done", "cancelled"):  # it ended in the middle of being forgotten
                self.forget(job)
            elif job.id == file.parent.name and job.repo.files:
                yield job

    def keep(self, job: Job) -> None:
        """Write it down.

        Raises:
            NoSpace: it cannot be written.
        """
        home = self._folder / job.id
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(
                home / "job.json",
                msgspec.json.encode(job),
                durable=True,
                partial=home / "job.json.new",
            )
        except OSError as ex:
            raise NoSpace(f"the download cannot be kept: {ex.strerror}") from ex

    def forget(self, job: Job) -> None:
        """Remove it and the parts of its files."""
        shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def arrived(self, job: Job) -> int:
        """Bytes that are here."""
        if job.status == "done":
            return job.size
        found = 0
        for number, file in enumerate(job.repo.files):
            with contextlib.suppress(OSError):
                found += min(self.part(job, number).stat().st_size, file.size)
        return found

    def check_room(self, job: Job) -> None:
        """Nothing, if what is missing fits on the disk.

        Raises:
            NoSpace: with the figures.
        """
        missing = job.size - self.arrived(job)
        free = shutil.disk_usage(self.models).free
        if missing + SPARE_BYTES > free:
            raise NoSpace(
                f"{job.repo.id} needs {format_bytes(missing, 'GB')} more and"
                f" {format_bytes(SPARE_BYTES, 'GB')} to spare; {format_bytes(free, 'GB')} are free"
                f" on the disk of {self.models}"
            )

    def finish(self, job: Job) -> None:
        """Give the files, which have been compared, their names.

        Raises:
            OSError: one of them cannot have it.
        """
        for number, file in enumerate(job.repo.files):
            part, final = self.part(job, number), self.final(job.repo, file)
            if part.exists():
                final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                part.replace(final)
                sync_folder(final.parent)
