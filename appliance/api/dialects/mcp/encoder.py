"""Encodes the reply of the tool `ask`."""

from collections.abc import Sequence
from typing import Any

from appliance.api.dialects.mcp.messages import RpcAnswer, RpcNotification, tool_text
from appliance.api.generation.encoder import ReplyCollector
from appliance.api.wire import streams
from appliance.engine.protocol import Delta, SequenceEvent
from appliance.errors import ApplianceError


class AskEncoder:
    """The answer of a tool call; streamed, with its progress before."""

    media_type = streams.MEDIA_TYPE
    keep_alive: bytes | None = streams.KEEP_ALIVE

    def __init__(self, id: int | str, progress_token: int | str | None) -> None:
        """
        Args:
            id: of the call.
            progress_token: of who wants to know how far it is; None: nobody.
        """
        self._id = id
        self._token = progress_token
        self._reply = ReplyCollector()

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        """How many tokens there are."""
        self._reply.add(event)
        if self._token is None or not isinstance(event, Delta):
            return b""
        params = {"progressToken": self._token, "progress": event.tokens}
        return streams.event(
            RpcNotification(method="notifications/progress", params=params), "message"
        )

    def finish(self) -> bytes:
        """The whole reply."""
        return streams.event(self.whole([self._reply]), "message")

    def error(self, error: ApplianceError) -> bytes:
        """Why there is none, for the model that called."""
        return streams.event(self.failed(error), "message")

    def failed(self, error: ApplianceError) -> RpcAnswer:
        """The same, as it is."""
        return RpcAnswer(id=self._id, result=tool_text(error.message, is_error=True))

    def whole(self, replies: Sequence[ReplyCollector]) -> RpcAnswer:
        """The answer that is not streamed."""
        result: dict[str, Any] = tool_text(replies[0].text)
        return RpcAnswer(id=self._id, result=result)
