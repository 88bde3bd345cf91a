"""A stored chat's reply as server-sent events."""

from typing import Any

from appliance.api.chat.schemas import ReplyDone, ReplyError
from appliance.api.wire import streams
from appliance.chat.events import (
    LiveEvent,
    PromptProgress,
    ReplyEnded,
    ReplyUsage,
    StoredFollower,
    TurnAccepted,
    TurnBegan,
    Waiting,
)
from appliance.chat.live_reply import Follower
from appliance.chat.reply_text import TextDelta
from appliance.errors import ApplianceError
from appliance.http.errors import error_object

_NAMES: dict[type[LiveEvent], str] = {
    TurnBegan: "turn",
    TurnAccepted: "accepted",
    Waiting: "queued",
    PromptProgress: "prefill",
    TextDelta: "delta",
    ReplyUsage: "usage",
}

EVENTS: dict[str, type] = {
    **{name: type_ for type_, name in _NAMES.items()},
    "done": ReplyDone,
    "error": ReplyError,
}
"""The data of each event, by its name; the same over SSE and WebSocket."""


def name_and_data(event: LiveEvent) -> tuple[str, Any]:
    """The name and data of an event, as clients receive them."""
    if not isinstance(event, ReplyEnded):
        return _NAMES[type(event)], event
    if event.error:
        return "error", ReplyError(error_object(event.error), event.message)
    return "done", ReplyDone(event.message)


class ReplyStream(streams.FeedStream[LiveEvent]):
    """A reply's events. The reply goes on when the client hangs up."""

    def __init__(self, follower: Follower | StoredFollower) -> None:
        super().__init__(follower)
        self._message_id = follower.message_id

    def encode(self, event: LiveEvent) -> bytes:
        self.finished = isinstance(event, ReplyEnded)
        name, data = name_and_data(event)
        if isinstance(event, TextDelta):
            return streams.event(data, name, f"{self._message_id}:{event.offset}")
        return streams.event(data, name)

    def encode_error(self, error: ApplianceError) -> bytes:
        return streams.event(ReplyError(error_object(error)), "error")
