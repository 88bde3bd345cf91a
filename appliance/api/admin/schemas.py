"""Requests and responses about the appliance itself: its state, and its keys."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.api.wire.bodies import Body
from appliance.auth.keys.records import Key
from appliance.config.schema import Scope
from appliance.engine.base import EngineStatus
from appliance.engine.protocol import Trust
from appliance.metrics.dashboard import DashboardFigures
from appliance.metrics.recent_requests import RecentRequest
from appliance.store.upkeep.notices import StorageStatus


class RecentRequestList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's last requests to models, the newest first."""

    requests: list[RecentRequest]


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a model."""

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
    """The variant of llama.cpp's CPU code, once it is loaded."""
    devices: tuple[str, ...]
    """Where it could run on this machine, by names and families; empty, since unknown, until it is
    loaded."""
    warning: str | None
    missing: bool = False
    """Its file is not on this machine; `detail` says what gets it."""
    elsewhere: bool = False
    """It runs on another server, which gets what people write."""


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A device that can compute. Sizes in bytes."""

    name: str
    """As requests name it."""
    family: str
    """`cpu`, `cuda`, `metal`, `vulkan` …"""
    description: str
    driver: str
    """Empty: unknown."""
    free: int
    """When a model was last loaded."""
    total: int
    trust: Trust
    """`slow`: only used on request, since the processor is faster; `unproven`: not compared with
    the processor yet; `wrong`: its results differ, and it is not used; `failed`: it crashed or
    could not be tested, and is not used until the next start."""
    detail: str
    """Why it is not used."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows about the appliance. The timestamp is in Unix milliseconds."""

    version: str
    uptime_seconds: float
    timestamp: int
    models: list[ModelStatus]
    devices: list[DeviceStatus]
    figures: DashboardFigures
    refused_variants: dict[str, str]
    """Variants of llama.cpp's CPU code that compute wrong results on this machine and are not used,
    and why."""
    storage: StorageStatus


class StorageHealth(msgspec.Struct, frozen=True):
    """Whether chats can be stored."""

    state: Literal["ok", "low", "full", "read_only", "failed"]
    detail: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the appliance. The timestamp is in Unix milliseconds.

    Callers without a valid key that are not on this machine get only `status`.
    """

    status: Literal["ok"] | EngineStatus
    uptime_seconds: float | msgspec.UnsetType = msgspec.UNSET
    timestamp: int | msgspec.UnsetType = msgspec.UNSET
    models: list[ModelStatus] | msgspec.UnsetType = msgspec.UNSET
    storage: StorageHealth | msgspec.UnsetType = msgspec.UNSET
    """Only in `/readiness`."""


# -- keys and login --------------------------------------------------------------------------------


class NewKeyIn(Body, kw_only=True, frozen=True):
    """A key to create."""

    name: str
    scope: Scope = "chat"
    rpm: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    """Requests per minute."""
    expires_at: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Unix milliseconds."""


class LoginIn(Body, frozen=True):
    """A key."""

    key: str


class Me(msgspec.Struct, frozen=True):
    """The caller."""

    name: str
    scope: Scope | None
    """None: the caller has not shown a key, and needs one."""
    auth: bool
    """Whether callers need a key."""


class KeysAnswer(msgspec.Struct, frozen=True):
    """All keys, without their secrets."""

    keys: list[Key]


class CreatedKey(msgspec.Struct, frozen=True):
    """A key that was just created."""

    id: str
    name: str
    scope: Scope
    rpm: int | None
    created_at: int
    expires_at: int | None
    key: str
    """The secret, which is only shown once."""
