"""Requests and responses for stored chats, and messages over `/chat/ws`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.api.generation.sampling import (
    Breakers,
    DryBase,
    DryLength,
    DryMultiplier,
    DynamicRange,
    Exponent,
    LastN,
    MirostatEta,
    MirostatTau,
    MirostatVersion,
    Penalty,
    RepeatPenalty,
    Sampling,
    Seed,
    Share,
    Sigmas,
    StopText,
    Temperature,
    Tokens,
    TopK,
)
from appliance.api.wire.bodies import Body
from appliance.config.schema import DeviceName
from appliance.http.errors import ErrorObject
from appliance.store.callers.attachments import MOST_OF_A_MESSAGE
from appliance.store.sessions import Message, Role, SessionChanges, Settings

Title = Annotated[str, Meta(max_length=200)]
ModelName = Annotated[str, Meta(min_length=1, max_length=500)]
FolderId = Annotated[str, Meta(min_length=1, max_length=200)]
SystemPrompt = Annotated[str, Meta(max_length=100_000)]
Stops = Annotated[list[StopText], Meta(max_length=16)]
Sampler = Literal[
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
]
"""By llama.cpp's names."""
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class SettingsIn(Body, kw_only=True, frozen=True):
    """Settings of a session or of the default profile; null resets a value."""

    model: ModelName | UnsetType | None = UNSET
    device: DeviceName | UnsetType | None = UNSET
    temperature: Temperature | UnsetType | None = UNSET
    top_p: Share | UnsetType | None = UNSET
    top_k: TopK | UnsetType | None = UNSET
    max_tokens: Tokens | UnsetType | None = UNSET
    repeat_penalty: RepeatPenalty | UnsetType | None = UNSET
    system_prompt: SystemPrompt | UnsetType | None = UNSET
    stop: Stops | UnsetType | None = UNSET
    reasoning_effort: Effort | UnsetType | None = UNSET
    min_p: Share | UnsetType | None = UNSET
    seed: Seed | UnsetType | None = UNSET
    frequency_penalty: Penalty | UnsetType | None = UNSET
    presence_penalty: Penalty | UnsetType | None = UNSET
    repeat_last_n: LastN | UnsetType | None = UNSET
    dry_multiplier: DryMultiplier | UnsetType | None = UNSET
    dry_base: DryBase | UnsetType | None = UNSET
    dry_allowed_length: DryLength | UnsetType | None = UNSET
    dry_penalty_last_n: LastN | UnsetType | None = UNSET
    dry_sequence_breakers: Breakers | UnsetType | None = UNSET
    top_n_sigma: Sigmas | UnsetType | None = UNSET
    typical_p: Share | UnsetType | None = UNSET
    xtc_probability: Share | UnsetType | None = UNSET
    xtc_threshold: Share | UnsetType | None = UNSET
    dynatemp_range: DynamicRange | UnsetType | None = UNSET
    dynatemp_exponent: Exponent | UnsetType | None = UNSET
    mirostat: MirostatVersion | UnsetType | None = UNSET
    mirostat_tau: MirostatTau | UnsetType | None = UNSET
    mirostat_eta: MirostatEta | UnsetType | None = UNSET
    samplers: Annotated[list[Sampler], Meta(max_length=32)] | UnsetType | None = UNSET
    """Which are applied, in this order."""

    def changes(self) -> dict[str, Any]:
        """The fields that are given, as fields of `Settings`."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
            if value is not UNSET
        }

    def to_settings(self) -> Settings:
        """For the store; what is not given is null."""
        return Settings().changed(self.changes())


class NewSession(Body, kw_only=True, frozen=True):
    """`POST /api/sessions`."""

    title: Title = ""
    settings: SettingsIn | None = None
    """Where it says nothing, the folder's."""
    folder_id: FolderId | None = None


class SessionsQuery(Body, kw_only=True, frozen=True):
    """`GET /api/sessions`; with nothing given, all sessions."""

    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """At most so many."""
    after: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """Those that follow this session."""
    since: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """A `revision`: what has changed since."""


class SessionChange(Body, kw_only=True, frozen=True):
    """`PATCH /api/sessions/{id}`. Fields not given stay unchanged."""

    title: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    pinned: bool | UnsetType = UNSET
    leaf_id: str | UnsetType | None = UNSET
    """The message that the chat continues from; null: it starts over."""
    settings: SettingsIn | UnsetType | None = UNSET
    """Fields to change; null resets all of them."""
    folder_id: FolderId | UnsetType | None = UNSET
    """A folder of the caller's; null: in none."""

    def to_store(self) -> SessionChanges:
        """For the store."""
        settings = self.settings
        return SessionChanges(
            title=self.title,
            pinned=self.pinned,
            leaf_id=self.leaf_id,
            folder_id=self.folder_id,
            settings=settings.changes() if isinstance(settings, SettingsIn) else settings,
        )


class ReplyIn(Sampling, kw_only=True, frozen=True):
    """How to generate a reply: `…/regenerate` and `…/continue`.

    Fields not given are taken from the session's settings and the default profile.
    """

    model: ModelName | None = None
    device: DeviceName | None = None
    """Where the model should run; if it runs elsewhere, the event `accepted` has a warning."""
    system_prompt: SystemPrompt | None = None
    reasoning_effort: Effort | None = None
    """How much to think before the answer; ignored by models that can't be asked."""

    def with_defaults(self, settings: Settings) -> "ReplyIn":
        """The same, with values from `settings` where none is given."""
        blank = {
            name: getattr(settings, name)
            for name in settings.__struct_fields__
            if getattr(self, name, UNSET) is None
        }
        return msgspec.structs.replace(self, **blank)


class TurnIn(ReplyIn, kw_only=True, frozen=True):
    """`POST /api/sessions/{id}/turns`."""

    content: str
    parent_id: str | UnsetType | None = UNSET
    """The message it follows; not given: the session's leaf; null: a new root."""
    attachments: Annotated[tuple[str, ...], Meta(max_length=MOST_OF_A_MESSAGE)] = ()
    """Ids of attachments that were uploaded, or that other messages have."""


class MessagesQuery(Body, kw_only=True, frozen=True):
    """`GET /api/sessions/{id}/messages`; with nothing given, all messages."""

    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """At most so many, the newest."""
    before: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """Of those that were made before this message."""


class EditIn(Body, kw_only=True, frozen=True):
    """`POST /api/sessions/{id}/messages/{id}/edit`."""

    content: str


class RemovalQuery(Body, kw_only=True, frozen=True):
    """`DELETE /api/sessions/{id}/messages/{id}`."""

    turn: bool = False
    """The question and all replies to it, not the message alone."""


class BranchIn(Body, kw_only=True, frozen=True):
    """`POST /api/sessions/{id}/messages/{id}/branch`."""

    title: Title | None = None
    """Not given: that of the first chat."""


class SearchQuery(Body, kw_only=True, frozen=True):
    """`GET /api/search`: words that a hit must all contain; text in "…" is one word."""

    q: Annotated[str, Meta(max_length=500)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    offset: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


class LiveQuery(Body, kw_only=True, frozen=True):
    """`GET /api/sessions/{id}/live`: the first character to send, counted with the reasoning."""

    start: Annotated[int, Meta(ge=0, le=2**31 - 1)] = msgspec.field(default=0, name="from")
    message_id: str | None = None
    """Which reply; not given: the one that is being generated."""


# -- the subprotocol `appliance.v1` ---------------------------------------------------------------


class SocketTurn(TurnIn, kw_only=True, frozen=True, tag="turn"):
    """Over a WebSocket: begin a turn and follow it."""

    session_id: str = ""


class SocketRegenerate(ReplyIn, kw_only=True, frozen=True, tag="regenerate"):
    """Over a WebSocket: begin an alternative to a reply and follow it."""

    session_id: str = ""
    message_id: str


class SocketContinue(ReplyIn, kw_only=True, frozen=True, tag="continue"):
    """Over a WebSocket: continue a reply that was stopped, interrupted or too long."""

    session_id: str = ""
    message_id: str


class SocketFollow(Body, kw_only=True, frozen=True, tag="follow"):
    """Over a WebSocket: follow a reply, starting at the character `from`."""

    session_id: str = ""
    message_id: str | None = None
    """None: the one that is being generated."""
    start: Annotated[int, Meta(ge=0, le=2**31 - 1)] = msgspec.field(default=0, name="from")


class SocketStop(Body, kw_only=True, frozen=True, tag="stop"):
    """Over a WebSocket: stop the reply of a session; without one, all that were begun here."""

    session_id: str = ""


class SocketPing(Body, kw_only=True, frozen=True, tag="ping"):
    """Over a WebSocket: answered with `pong`."""


SocketMessage = (
    SocketTurn | SocketRegenerate | SocketContinue | SocketFollow | SocketStop | SocketPing
)


# -- answers --------------------------------------------------------------------------------------


class MessagesAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Messages of a session."""

    messages: Sequence[Message]
    more: bool = False
    """There are others before them."""


class PromptPiece(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token, and its text: a character of several tokens is the last one's."""

    id: int
    text: str
    control: bool = False
    """A token that no text of people's has."""


class PromptPart(msgspec.Struct, frozen=True):
    """Tokens of a prompt that belong together."""

    message_id: str | None
    """None: they are of no message of the chat."""
    role: str
    """The message's, or `template`: what the model's template puts around it."""
    pieces: Sequence[PromptPiece]


class LeftOut(msgspec.Struct, frozen=True):
    """A message before the reply that the model was not given."""

    message_id: str
    role: Role
    reason: Literal["too_long", "empty"]
    """The chat was longer than what is sent or can be read at once, or there was no text in it."""


class SentAnswer(msgspec.Struct, frozen=True):
    """The prompt of a stored reply, rendered once more."""

    model: str
    prompt_tokens: int
    as_sent: bool | None
    """Whether it has as many tokens as it had then; null: that is not known."""
    cached_tokens: int | None
    """How many of its tokens did not have to be computed; null: that is not known."""
    parts: Sequence[PromptPart]
    """In order; all their tokens together are the prompt."""
    left_out: Sequence[LeftOut]


class ReplyDone(msgspec.Struct, frozen=True):
    """The data of a stream's last event, `done`: the reply as stored."""

    message: Message


class ReplyError(msgspec.Struct, frozen=True, omit_defaults=True):
    """The data of a stream's last event, `error`, with the reply as stored."""

    error: ErrorObject
    message: Message | None = None
