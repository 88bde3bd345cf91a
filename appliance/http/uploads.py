"""Large bodies: of requests that may have them, in a file while they arrive.

All other bodies stay in memory, and are smaller. The file has no name and is in the folder of the
data, so that nothing of it is left when its request was answered, or the server died.
"""

import copy
import shutil
import tempfile
import weakref
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from waitress.adjustments import Adjustments
from waitress.buffers import TempfileBasedBuffer

from appliance.errors import ApplianceError, StoreFull, Unavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Allow = Callable[["WSGIEnvironment"], bool]
"""Whether a request may have a large body, by its headers. Called on the loop thread."""


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What all uploads may take."""

    folder: Path
    """Where bodies are kept while they arrive."""
    allow: Allow
    body: int = 200 * 1024 * 1024
    """Bytes of one."""
    together: int = 4
    """That arrive or are answered."""
    timeout: float = 600.0
    """Seconds from the first byte of a request to its last one."""


class Uploads:
    """Those that arrive or are answered."""

    def __init__(self, limits: UploadLimits, adjustments: Adjustments) -> None:
        """`adjustments`: of other requests."""
        self.limits = limits
        self.adjustments = copy.copy(adjustments)
        # waitress refuses what is exactly as large as its limit.
        self.adjustments.max_request_body_size = limits.body + 1
        self._present: weakref.WeakSet[Hashable] = weakref.WeakSet()

    def begin(self, request: Hashable, size: int) -> ApplianceError | None:
        """A body of so many bytes is about to arrive; returns why it may not."""
        if len(self._present) >= self.limits.together:
            return Unavailable("Others are uploading files. Try again in a minute.")
        # It is copied once, into the database, before it goes.
        if shutil.disk_usage(self.limits.folder).free < 3 * size:
            return StoreFull("There is no room on the disk for this file.")
        self._present.add(request)
        return None

    def end(self, request: Hashable) -> None:
        """It was answered, or its client has gone; more than once does no harm."""
        self._present.discard(request)


class UploadBuffer(TempfileBasedBuffer):
    """A body, on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__()

    def newfile(self) -> Any:
        """Raises OSError."""
        return tempfile.TemporaryFile("w+b", dir=self._folder)
