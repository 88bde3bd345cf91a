"""What may be said over `/chat/ws` in the subprotocol `appliance.v1`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.api.chat.schemas import ReplyIn, TurnIn
from appliance.api.wire.bodies import Body


class SocketTurn(TurnIn, kw_only=True, frozen=True, tag="turn"):
    """Over a WebSocket: begin a turn and follow it."""

    session_id: str = ""


class SocketRegenerate(ReplyIn, kw_only=True, frozen=True, tag="regenerate"):
    """Over a WebSocket: begin another reply beside this one and follow it."""

    session_id: str = ""
    message_id: str


class SocketContinue(ReplyIn, kw_only=True, frozen=True, tag="continue"):
    """Over a WebSocket: have a reply go on that was stopped, interrupted or too long."""

    session_id: str = ""
    message_id: str


class SocketFollow(Body, kw_only=True, frozen=True, tag="follow"):
    """Over a WebSocket: follow a reply from the character `from` on."""

    session_id: str = ""
    message_id: str | None = None
    """None: the one under way."""
    start: Annotated[int, Meta(ge=0, le=2**31 - 1)] = msgspec.field(default=0, name="from")


class SocketStop(Body, kw_only=True, frozen=True, tag="stop"):
    """Over a WebSocket: end the reply under way; without a session, all that were begun here."""

    session_id: str = ""


class SocketPing(Body, kw_only=True, frozen=True, tag="ping"):
    """Over a WebSocket: is anybody there?"""


SocketMessage = (
    SocketTurn | SocketRegenerate | SocketContinue | SocketFollow | SocketStop | SocketPing
)
