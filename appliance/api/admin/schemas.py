"""Requests and answers about the appliance itself: how it is, and its keys."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.api.wire.bodies import Body
from appliance.auth.keys.records import Key
from appliance.config.schema import Scope
from appliance.engine.base import Status as EngineStatus
from appliance.engine.protocol import Trust
from appliance.metrics.dashboard import Figures


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is doing."""

    id: str
    name: str
    state: EngineStatus
    progress: float
    """0 … 1, while it loads."""
    detail: str | None
    """Why it is not ready."""
    n_ctx: int | None
    device: str | None
    """`cpu`, or the family of the GPUs that it runs on."""
    on: tuple[str, ...]
    """Names of the GPUs that it runs on."""
    variant: str | None
    """Of llama.cpp's code for processors, once it is loaded."""
    devices: tuple[str, ...]
    """Where it could run on this machine, by names and families; empty while nobody knows, because
    it is not loaded."""
    warning: str | None


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can compute. Bytes."""

    name: str
    """As requests may ask for it."""
    family: str
    """`cpu`, `cuda`, `metal`, `vulkan` …"""
    description: str
    driver: str
    """Empty: unknown."""
    free: int
    """When a model was last loaded."""
    total: int
    trust: Trust
    """`slow`: used by who asks for it, since the processor is faster; `unproven`: not compared with
    the processor yet; `wrong`: it computes something else, and is not used; `failed`: it died or
    could not be tried, and is not used until the next start."""
    detail: str
    """Why it is not used."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows of the appliance. The timestamp is in Unix milliseconds."""

    version: str
    uptime_seconds: float
    timestamp: int
    models: list[ModelStatus]
    devices: list[DeviceStatus]
    figures: Figures
    refused_variants: dict[str, str]
    """Of llama.cpp's code for processors: what does not compute right on this machine and is not
    used, and why."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the appliance is. The timestamp is in Unix milliseconds."""

    status: Literal["ok"] | EngineStatus
    uptime_seconds: float
    timestamp: int
    models: list[ModelStatus]


# -- keys and login --------------------------------------------------------------------------------


class NewKeyIn(Body, kw_only=True, frozen=True):
    """A key to be made."""

    name: str
    scope: Scope = "chat"
    rpm: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """Requests a minute."""
    expires_at: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Unix milliseconds."""


class LoginIn(Body, frozen=True):
    """A key."""

    key: str


class Me(msgspec.Struct, frozen=True):
    """Who is asking."""

    name: str
    scope: Scope | None
    """None: nobody in particular yet, where a key is asked for."""
    auth: bool
    """Whether a key is asked for here."""


class KeysAnswer(msgspec.Struct, frozen=True):
    """All keys, without what nobody can see again."""

    keys: list[Key]


class MadeKey(msgspec.Struct, frozen=True):
    """A key that was just made."""

    id: str
    name: str
    scope: Scope
    rpm: int | None
    created_at: int
    expires_at: int | None
    key: str
    """The secret, which is shown this once."""
