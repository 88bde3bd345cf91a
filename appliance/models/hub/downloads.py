"""Downloads as jobs of the service: they continue without the client, and after a restart.

A job's files grow in a folder of their own inside the folder of models, where nobody looks for
models. Only when all of them are there and right do they get their names.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from appliance.errors import ApplianceError, Conflict, NoSpace, NotFound
from appliance.models.hub.client import Hub, RepoFile
from appliance.models.hub.file_transfer import ExpectedFile, FileDownload, Stopped, is_right
from appliance.models.hub.job_store import Job, JobFolder, JobStatus

log = logging.getLogger(__name__)

TOGETHER = 2
"""Downloads that run at a time; more wait."""
CLOSE_SECONDS = 5.0
"""How long the end waits for a download that hangs. It loses nothing."""
RATE_SECONDS = 5.0
"""Over which a transfer rate is measured."""
UNDER_WAY = ("waiting", "running")


class DownloadStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A download, as shown to users."""

    id: str
    repo: str
    file: str
    """The first of its files."""
    files: int
    licence: str
    status: JobStatus
    done_bytes: int
    total_bytes: int
    bytes_per_second: int
    error: str | None
    created_at: int
    """Unix milliseconds."""


class TransferRate:
    """How fast something has been growing recently. Thread-safe."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def reset(self, size: int) -> None:
        """Begin, or continue after a pause, with this many bytes."""
        with self._lock:
            self._samples.clear()
            self._samples.append((time.monotonic(), size))

    def at(self, size: int) -> int:
        """Bytes a second, given the current number of bytes."""
        now = time.monotonic()
        with self._lock:
            while len(self._samples) > 1 and self._samples[1][0] < now - RATE_SECONDS:
                self._samples.popleft()
            began, before = self._samples[0] if self._samples else (now, size)
            if not self._samples or now - self._samples[-1][0] > 0.2:
                self._samples.append((now, size))
        return max(0, round((size - before) / (now - began))) if now > began else 0


class _Run:
    """What a job has in memory alone."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.changed = threading.Condition()
        """Guards the job, and what is kept of it; notified when its status changes."""
        self.thread: threading.Thread | None = None
        self.speed = TransferRate()


class Downloads:
    """All downloads into one folder of models. Thread-safe."""

    def __init__(
        self, models: Path, hub: Hub, *, transfer: Callable[..., FileDownload] = FileDownload
    ) -> None:
        """
        Args:
            models: the folder.
            hub: where they come from.
            transfer: instead of the usual one, for its timeouts.
        """
        self.on_done: Callable[[], object] = lambda: None
        """Called when a model has arrived."""
        self._folder = JobFolder(models)
        self._hub = hub
        self._transfer = transfer
        self._runs: dict[str, _Run] = {}
        self._adding = threading.Lock()
        self._places = threading.Semaphore(TOGETHER)
        self._closing = threading.Event()

    def start(self) -> None:
        """Resume what was under way when the appliance last ended."""
        if not self._folder.used:
            return
        with self._adding:
            try:
                self._claim()
            except (Conflict, NoSpace) as ex:
                log.warning("no download is gone on with: %s", ex)
                return
            for job in self._folder.kept():
                run = self._runs.setdefault(job.id, _Run(job))
                if job.status in UNDER_WAY:
                    self._begin(run)

    def close(self) -> None:
        """Stop all, to be resumed at the next start."""
        self._closing.set()
        runs = list(self._runs.values())
        for run in runs:
            with run.changed:
                run.changed.notify_all()
        deadline = time.monotonic() + CLOSE_SECONDS
        for run in runs:
            if run.thread is not None:
                run.thread.join(max(0.0, deadline - time.monotonic()))
        with self._adding:
            self._folder.leave()

    def add(self, name: str, wanted: str = "") -> DownloadStatus:
        """Begin to download a model; of one that is under way already, resume it.

        Args:
            name: of a model, a repository, or the catalogue's id.
            wanted: its quantization or file; see `names.choose`.

        Raises:
            ModelNotFound, HubUnavailable, RequestError: see `Hub.resolve`.
            NoSpace: the disk has no room for it, or the folder cannot be written.
            Conflict: another appliance downloads into this folder.
        """
        found, files = self._hub.resolve(name, wanted)
        repo = msgspec.structs.replace(found, files=files)
        with self._adding:
            self._claim()
            for run in self._runs.values():
                same = (run.job.repo.id, run.job.repo.files) == (repo.id, repo.files)
                if same and run.job.status not in ("done", "cancelled"):
                    self._wake(run)
                    return self._status(run)
            now = time.time_ns()
            job = Job(id=f"{now:x}", repo=repo, status="waiting", created_at=now // 1_000_000)
            self._folder.check_room(job)
            self._folder.keep(job)
            run = self._runs[job.id] = _Run(job)
            self._begin(run)
            return self._status(run)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Ids of earlier downloads that cannot be resumed, since what was kept of them is damaged;
        their files are left alone."""
        return self._folder.unreadable

    def list(self) -> tuple[DownloadStatus, ...]:
        """All since the start of the appliance, and those that were left from before."""
        return tuple(self._status(run) for run in list(self._runs.values()))

    def find(self, id: str) -> DownloadStatus:
        """One of them.

        Raises:
            NotFound: there is none with that id.
        """
        return self._status(self._run(id))

    def pause(self, id: str) -> DownloadStatus:
        """Stop, and keep what has arrived.

        Raises:
            NotFound: there is none with that id.
            Conflict: there is nothing to stop.
        """
        run = self._run(id)
        self._settle(run, "paused", (*UNDER_WAY, "paused"))
        with run.changed, contextlib.suppress(NoSpace):  # then the next start resumes it
            self._folder.keep(run.job)
        return self._status(run)

    def resume(self, id: str) -> DownloadStatus:
        """Resume one that is paused or failed.

        Raises:
            NotFound: there is none with that id.
            NoSpace: the disk has no room for the rest.
            Conflict: it is over, or another appliance downloads into this folder.
        """
        run = self._run(id)
        with self._adding:
            self._claim()
            self._wake(run)
        return self._status(run)

    def cancel(self, id: str) -> DownloadStatus:
        """Stop, and keep nothing.

        Raises:
            NotFound: there is none with that id.
            Conflict: it is done already.
        """
        run = self._run(id)
        self._settle(run, "cancelled", (*UNDER_WAY, "paused", "failed", "cancelled"))
        # A thread that is still at it does the same at its end.
        self._folder.forget(run.job)
        return self._status(run)

    def _claim(self) -> None:
        if not self._folder.claim():
            raise Conflict(f"another appliance downloads into {self._folder.models}")

    def _status(self, run: _Run) -> DownloadStatus:
        job = run.job
        arrived = self._folder.arrived(job)
        return DownloadStatus(
            id=job.id,
            repo=job.repo.id,
            file=job.repo.files[0].path,
            files=len(job.repo.files),
            licence=job.repo.licence,
            status=job.status,
            done_bytes=arrived,
            total_bytes=job.size,
            bytes_per_second=run.speed.at(arrived) if job.status == "running" else 0,
            error=job.error or None,
            created_at=job.created_at,
        )

    def _run(self, id: str) -> _Run:
        run = self._runs.get(id)
        if run is None:
            raise NotFound(f"there is no download {id!r}", param="id")
        return run

    def _settle(self, run: _Run, status: JobStatus, before: tuple[str, ...]) -> None:
        with run.changed:
            if run.job.status not in before:
                raise Conflict(f"the download of {run.job.repo.id} is {run.job.status}", param="id")
            run.job.status = status
            run.changed.notify_all()

    def _wake(self, run: _Run) -> None:
        """`_adding` is held."""
        job = run.job
        if job.status in UNDER_WAY:
            return
        if job.status in ("paused", "failed"):
            self._folder.check_room(job)
        self._settle(run, "waiting", ("paused", "failed"))
        with run.changed:
            job.error = ""
            self._folder.keep(job)
        self._begin(run)

    def _begin(self, run: _Run) -> None:
        """`_adding` is held."""
        run.thread = threading.Thread(
            target=self._work, args=(run, run.thread), name=f"download {run.job.id}", daemon=True
        )
        run.thread.start()

    # -- on the job's thread -----------------------------------------------------------------------

    def _work(self, run: _Run, before: threading.Thread | None) -> None:
        if before is not None:  # it is stopping
            before.join()
        job = run.job
        with self._places:
            try:
                with run.changed:
                    if not self._goes_on(run):
                        return
                    job.status = "running"
                    self._folder.keep(job)
                run.speed.reset(self._folder.arrived(job))
                self._fetch(run)
                self._finish(run)
            except Stopped:
                log.info("the download of %s is %s", job.repo.id, job.status)
            except ApplianceError as ex:
                self._fail(run, ex.message)
            except OSError as ex:
                self._fail(run, f"{job.repo.id} cannot be written: {ex.strerror or ex}")
            finally:
                if job.status == "cancelled":
                    self._folder.forget(job)

    def _goes_on(self, run: _Run) -> bool:
        """Whether this thread does: one that was paused and has not noticed yet stays so, though
        another one resumes its job."""
        mine = run.thread is threading.current_thread()
        return mine and not self._closing.is_set() and run.job.status in UNDER_WAY

    def _stopped(self, run: _Run, seconds: float) -> bool:
        """Waits so long, and says whether to stop."""
        with run.changed:
            if seconds:
                run.changed.wait_for(lambda: not self._goes_on(run), seconds)
            return not self._goes_on(run)

    def _fetch(self, run: _Run) -> None:
        job = run.job
        self._hub.check_online()
        for number, file in enumerate(job.repo.files):
            want = self._want(job, file)
            if is_right(want, self._folder.final(job.repo, file), lambda: self._stopped(run, 0)):
                continue  # it has its name already
            self._transfer(
                want,
                self._folder.part(job, number),
                headers=self._hub.headers(),
                stopped=lambda seconds: self._stopped(run, seconds),
            ).run()

    def _want(self, job: Job, file: RepoFile) -> ExpectedFile:
        address = self._hub.address(job.repo, file)
        return ExpectedFile(
            url=address, name=file.path, size=file.size, sha256=file.sha256, blob=file.blob
        )

    def _finish(self, run: _Run) -> None:
        job = run.job
        with run.changed:
            if not self._goes_on(run):
                raise Stopped
            self._folder.finish(job)
            job.status = "done"
            run.changed.notify_all()
        self._folder.forget(job)
        log.info("%s is here: %s", job.repo.id, ", ".join(file.path for file in job.repo.files))
        self.on_done()

    def _fail(self, run: _Run, why: str) -> None:
        job = run.job
        with run.changed:
            if not self._goes_on(run):
                return
            job.status, job.error = "failed", why
            run.changed.notify_all()
            with contextlib.suppress(NoSpace):  # a full disk may be what it failed of
                self._folder.keep(job)
        log.error("the download of %s failed: %s", job.repo.id, why)
