"""Recently deleted chats."""

from collections.abc import Sequence

import falcon
import msgspec

from appliance.api.openapi.operation import Operations
from appliance.chat.cleanup import ChatCleanup
from appliance.errors import SessionNotFound
from appliance.store.upkeep.retention import DeletedSession, Retention

operation = Operations("Sessions")

MOST = 1000


class DeletedAnswer(msgspec.Struct, frozen=True):
    """Chats that were deleted or expired, and can be restored."""

    keep_seconds: float
    """How long after its deletion a chat can be restored, while the service runs; at least."""
    sessions: Sequence[DeletedSession]
    """The last deleted first, 1,000 at most."""
    more: bool
    """There are others."""


class DeletedChats:
    """`/api/deleted`"""

    def __init__(self, retention: Retention, cleanup: ChatCleanup) -> None:
        self._retention = retention
        self._cleanup = cleanup

    @operation(gives=DeletedAnswer)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Chats that can be restored, by `POST /api/sessions/{id}/restore`."""
        found = self._retention.deleted(MOST + 1)
        resp.media = DeletedAnswer(self._cleanup.undo_seconds, found[:MOST], len(found) > MOST)

    @operation(status=204, errors=(507,))
    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Remove all of them for good; 204."""
        self._cleanup.purge_now()
        resp.status = falcon.HTTP_204

    @operation(status=204, errors=(507,))
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """Remove one of them for good; 204."""
        if not session_id.isascii() or not self._cleanup.purge_now([session_id]):
            raise SessionNotFound(f"There is no deleted session {session_id!a}.")
        resp.status = falcon.HTTP_204
