"""Ollama's API: downloads, with a line for each progress report."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import falcon

from appliance.api.dialects.ollama.answers import OllamaError, OllamaPullProgress, ollama_error
from appliance.api.dialects.ollama.encoder import NDJSON, line
from appliance.api.dialects.ollama.schemas import OllamaPullRequest
from appliance.api.dialects.ollama.served import ModelInventory, OllamaPool, caller_of
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.lenient import decode_any_type
from appliance.api.wire.streams import FeedStream
from appliance.errors import ApplianceError, DownloadFailed, ModelNotFound, NotAllowed
from appliance.models.catalog import names
from appliance.models.hub.downloads import Downloads, DownloadStatus
from appliance.models.library import ModelLibrary

operation = Operations("Ollama")

PACE_SECONDS = 0.3
"""Between two lines."""
_AT_WORK = ("waiting", "running")


class OllamaPull:
    """`POST /api/pull`"""

    error_format = staticmethod(ollama_error)

    def __init__(self, library: ModelLibrary, pool: OllamaPool, models: ModelInventory) -> None:
        self._downloads = library.downloads
        self._pool = pool
        self._models = models

    @operation(
        takes=OllamaPullRequest,
        gives=OllamaPullProgress,
        streams=(OllamaPullProgress, OllamaError),
        stream_type=NDJSON,
        errors=(404, 409, 507),
        error=OllamaError,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Download a model; of one that is here, say so.

        The download belongs to the appliance: it goes on if the client leaves.
        """
        body, _ = decode_any_type(req, OllamaPullRequest)
        steps = self._steps(body.asked(), caller_of(req).may("manage"))
        if body.stream is not False:
            streams.send(req, resp, PullStream(PullFeed(steps)))
        else:
            *_, last = steps
            resp.media = last

    def _steps(self, name: str, may_download: bool) -> Iterator[OllamaPullProgress]:
        """
        Raises:
            ApplianceError: the model is not to be had.
        """
        if self._is_here(name):
            return iter([_step("pulling manifest"), _step("success")])
        if not may_download:
            raise NotAllowed("downloading a model needs a key with the scope manage")
        repo, wanted = names.parse(name.removesuffix(":latest"))
        return _watched(self._downloads, self._downloads.add(repo, wanted))

    def _is_here(self, name: str) -> bool:
        try:
            return self._models.offered_as(self._pool.find(name).id).downloaded
        except ModelNotFound:
            return False


def _step(status: str) -> OllamaPullProgress:
    return OllamaPullProgress(status=status)


def _watched(downloads: Downloads, status: DownloadStatus) -> Iterator[OllamaPullProgress]:
    """The progress of a download until it ends.

    Raises:
        DownloadFailed: it won't end well.
    """
    digest = hashlib.sha256(f"{status.repo}/{status.file}".encode()).hexdigest()
    pause = threading.Event()
    yield _step("pulling manifest")
    while True:
        yield OllamaPullProgress(
            status=f"pulling {digest[:12]}",
            digest=f"sha256:{digest}",
            total=status.total_bytes,
            completed=status.done_bytes,
        )
        if status.status not in _AT_WORK:
            break
        pause.wait(PACE_SECONDS)
        status = downloads.find(status.id)
    if status.status != "done":
        raise DownloadFailed(status.error or f"the download of {status.repo} is {status.status}")
    for text in ("verifying sha256 digest", "writing manifest", "success"):
        yield _step(text)


class PullFeed:
    """The steps of a download as a feed, which a thread of its own follows."""

    def __init__(self, steps: Iterator[OllamaPullProgress]) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._steps = steps
        self._new: deque[OllamaPullProgress | ApplianceError | None] = deque()
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name="pull", daemon=True).start()

    def _follow(self) -> None:
        try:
            for step in self._steps:
                self._put(step)
                if self._closed.is_set():
                    return
        except ApplianceError as ex:
            self._put(ex)
        self._put(None)

    def _put(self, what: OllamaPullProgress | ApplianceError | None) -> None:
        self._new.append(what)
        self.wake()

    def take(self) -> Sequence[OllamaPullProgress | ApplianceError | None]:
        """What is new; None: the end."""
        found = []
        while self._new:
            found.append(self._new.popleft())
        return found

    def close(self) -> None:
        """Nobody reads it any more."""
        self._closed.set()


class PullStream(FeedStream[OllamaPullProgress | ApplianceError | None]):
    """Written as lines."""

    media_type = NDJSON
    keep_alive = None

    def encode(self, event: OllamaPullProgress | ApplianceError | None) -> bytes:
        if event is None:
            self.finished = True
            return b""
        if isinstance(event, ApplianceError):
            self.finished = True
            return self.encode_error(event)
        return line(event)

    def encode_error(self, error: ApplianceError) -> bytes:
        return line(OllamaError(error=error.message))
