"""Every setting of the appliance: its type, its bounds, its default. `loader` reads them."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.config.context import FlashAttention, KvType

DEVICES = "auto, cpu, cuda, metal or vulkan, or a device's name such as Vulkan0"
"""What a device may be called, for people."""


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in word)


_NAMES = [*map(_any_case, ("auto", "cpu")), _any_case("mtl") + "[0-9]{1,2}"]
_NAMES += [_any_case(family) + "([0-9]{1,2})?" for family in ("cuda", "metal", "vulkan")]
DEVICE_PATTERN = f"^({'|'.join(_NAMES)})$"
DeviceName = Annotated[str, Meta(pattern=DEVICE_PATTERN, description=DEVICES)]
"""`auto`, `cpu`, a family of GPUs, or one of them by llama.cpp's name; in large or small
letters."""
LogLevel = Literal["debug", "info", "warning", "error"]
Scope = Literal["chat", "manage", "admin"]
"""Each may do what the ones before it may: chat; manage models and settings; make keys."""
Port = Annotated[int, Meta(ge=0, le=65535)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file. Its fields are its keys."""


class ServerSettings(Section, frozen=True):
    """`[server]`: how the appliance is reached and what it says about itself."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 3000
    """0: any free one."""
    log_level: LogLevel = "info"
    shutdown_grace_seconds: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Seconds that replies under way have to finish."""
    ui_dir: str = ""
    """A folder with another built page, which is served instead; empty: the appliance's own."""
    ui_csp: Annotated[str, Meta(pattern="^[ -~]*$")] = ""
    """The page's Content-Security-Policy; empty: the appliance's own, which admits nothing from
    other servers and no inline scripts."""


class AvailableModel(Section, frozen=True):
    """`[[models.available_models]]`: one GGUF file and what it is called."""

    id: Annotated[str, Meta(min_length=1)]
    name: str = ""
    """For people; `id` if empty."""
    path: str = ""
    """Relative to the folder of models. Empty: the file that was downloaded for `id` or `name`, if
    one of them is a model of the catalogue or of the hub, else the embedded model."""
    quantization: str = ""
    """Which file of such a model: `q4`, `q8`, `bf16`, or as GGUF files name it, `Q5_K_M`."""
    context_length: Annotated[int, Meta(ge=0)] = 0
    """Tokens that one sequence may span; 0: what `engine.n_ctx` says."""
    device: Annotated[str, Meta(pattern=f"^$|{DEVICE_PATTERN}", description=DEVICES)] = ""
    """Empty: `models.default_device`."""
    family: Literal["", "gpt2", "gptj", "gpt_neox", "dolly", "starcoder", "mpt", "replit"] = ""
    """The family of a file in the old GGML format, which does not contain it."""
    upstream: str = ""
    """The address of an OpenAI-compatible server that runs the model, instead of a file."""
    upstream_model: str = ""
    """The model's name there; `id` if empty."""
    upstream_key_variable: str = ""
    """The environment variable that holds the key for it."""
    prewarm: bool = False
    """Load it at the start, rather than when it is first used. The first model always is."""

    @property
    def by_llama(self) -> bool:
        """llama.cpp runs it on this machine, unless its file is an old one that names no family."""
        return not (self.upstream or self.family)


EMBEDDED_MODEL = AvailableModel(id="smollm2-135m-instruct", name="SmolLM2-135M-Instruct")


class ModelsSettings(Section, frozen=True):
    """`[models]`: which models there are."""

    default_device: DeviceName = "auto"
    """Where models run that name no device of their own."""
    model_dir: str = ""
    """Empty: the folder `models` in the data folder."""
    max_concurrent_requests: Annotated[int, Meta(ge=0)] = 0
    """Requests of one model that run together, the others wait; 0: `engine.n_seq_max`."""
    keep_alive_seconds: Annotated[float, Meta(ge=0)] = 0.0
    """A model that is idle for longer is unloaded; 0: only when its memory is needed."""
    max_loaded: Annotated[int, Meta(ge=0)] = 0
    """Models loaded at a time; 0: as many as memory holds."""
    folders: tuple[str, ...] = ()
    """More folders whose GGUF files are on offer."""
    find_elsewhere: bool = True
    """Models that other programs of this user have are on offer as well."""
    aliases: dict[Annotated[str, Meta(min_length=1)], Annotated[str, Meta(min_length=1)]] = {}
    """`[models.aliases]`: other names for models, such as `gpt-4o = "my-model"`, also with a star
    at the end; `embedded` is the model that comes with the appliance."""
    available_models: tuple[AvailableModel, ...] = ()

    def alias_targets(self) -> dict[str, str]:
        """Ids or names of models, by alias."""
        return {
            alias: EMBEDDED_MODEL.id if target == "embedded" else target
            for alias, target in self.aliases.items()
        }

    def listed(self) -> tuple[AvailableModel, ...]:
        """The models of the configuration; the embedded one when it names none."""
        return self.available_models or (EMBEDDED_MODEL,)


class EngineSettings(Section, frozen=True):
    """`[engine]`: how a model is run; llama.cpp's own names."""

    n_ctx: Annotated[int, Meta(ge=0)] = 0
    """Tokens that one sequence may span; 0: what the model was trained with."""
    n_batch: Annotated[int, Meta(ge=1, le=65536)] = 512
    """Tokens of one step."""
    n_ubatch: Annotated[int, Meta(ge=1, le=65536)] = 512
    """Tokens of one computation on the device."""
    n_seq_max: Annotated[int, Meta(ge=1, le=256)] = 4
    """Sequences that run together."""
    kv_unified: Literal["auto", "on", "off"] = "auto"
    """One KV cache of `n_ctx` cells for all sequences, rather than as many for each. Shared cells
    take less memory, and slow every step that reads long contexts (8 of 1,000 tokens each: 27
    tokens/s against 48; `benchmarks`, row 9); out of a GPU's memory, a state whose cells lie among
    those of others takes a quarter of a second (`benchmarks.gpu`). auto: off where the cells of all
    take an eighth of the free memory at most, or on a GPU with twice the room; on elsewhere."""
    n_gpu_layers: Annotated[int, Meta(ge=-1, le=9999)] = -1
    """Layers of a model that a GPU computes; -1: as many as fit."""
    n_threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """0: one a physical core, fewer while other programs want the cores."""
    flash_attn: FlashAttention = "auto"
    type_k: KvType | Literal["auto"] = "auto"
    """How the KV cache keeps its keys; auto: f16, or what `tune` found to be as good and faster."""
    type_v: KvType | Literal["auto"] = "auto"
    """How it keeps its values; other types than f16 need flash attention."""
    tune: bool = True
    """Find out, when no request is waiting, how each model runs fastest on this machine."""
    max_waiting: Annotated[int, Meta(ge=0)] = 64
    """Requests that may wait for a place."""
    kv_memory_mb: Annotated[int, Meta(ge=0)] = 1024
    """Megabytes of host memory, for each model, that keep what chats without a place have read, and
    of models that keep no token apart from others, copies of where those with a place were."""
    kv_disk_mb: Annotated[int, Meta(ge=0)] = 4096
    """Megabytes of disk, for all models, that keep it over restarts; 0: off."""
    kv_min_tokens: Annotated[int, Meta(ge=1)] = 64
    """Shorter chats are read again sooner than they are kept."""


class ApiKey(Section, frozen=True):
    """`[[security.api_keys]]`: a key as plain text. `appliance keys import` moves it away."""

    key: Annotated[str, Meta(min_length=1)]
    name: str = ""
    """For people; "key 1" and so on if empty."""
    rate_limit_per_minute: Annotated[int, Meta(ge=0)] = 0
    """0: what `limits.default_rate_limit_per_minute` says."""
    scope: Scope = "chat"
    enabled: bool = True

    def __repr__(self) -> str:
        return f"ApiKey(name={self.name!r}, key=…)"


class SecuritySettings(Section, frozen=True):
    """`[security]`: who may use the appliance."""

    enable_auth: bool = False
    """Everybody shows a key, also on this machine. Elsewhere they always do."""
    insecure_lan: bool = False
    """Listening beyond this machine doesn't turn `enable_auth` on."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other web pages and of desktop apps that may use the appliance, such as
    `https://example.org`, `app://obsidian.md`, `vscode-webview://*`, `http://localhost:*`; `*`: all
    of them, with a key."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that the appliance goes by beside its address, such as `box.lan`; `*`: all of them,
    with a key."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-For` is believed."""
    vault: Literal["keyring", "file", "encrypted", "credentials"] = "keyring"
    """Where keys are kept: the system's keyring, a file, one that is encrypted under a key from the
    service manager, or what that gives."""
    vault_file: str = ""
    """Empty: `keys.json` in the data folder, `keys.vault` if it is encrypted."""
    api_key: str = ""
    """One key for everything; for `API_KEY`."""
    api_key_file: str = ""
    """A file that has it instead, such as a container's secret; for `API_KEY_FILE`."""
    api_keys: tuple[ApiKey, ...] = ()

    def __repr__(self) -> str:
        return f"SecuritySettings(enable_auth={self.enable_auth!r}, vault={self.vault!r}, …)"


class LimitsSettings(Section, frozen=True):
    """`[limits]`: what a request may ask for."""

    max_prompt_length: Annotated[int, Meta(ge=1)] = 200_000
    """Characters of all that a model reads in a request, and once more of its tools."""
    max_response_tokens: Annotated[int, Meta(ge=0)] = 0
    """Tokens of a reply, at most; 0: as many as the model's context holds."""
    max_sessions: Annotated[int, Meta(ge=0)] = 0
    """Stored chats; 0: any number. One more is refused, and none is ever given up for it."""
    session_ttl_seconds: Annotated[float, Meta(ge=0)] = 0.0
    """Chats that nothing happened in for longer are deleted, pinned ones kept; 0: never."""
    max_history_messages: Annotated[int, Meta(ge=1)] = 20
    """Messages of a session that the model is shown when a client of the original service goes on
    with it, its system message not counted. Other chats are sent as far as the context holds."""
    default_rate_limit_per_minute: Annotated[int, Meta(ge=0)] = 0
    """Requests of a key, or of an address where there is no key; 0: any number."""


class ObservabilitySettings(Section, frozen=True):
    """`[observability]`: what the appliance reports about its work."""

    enable_metrics: bool = True
    enable_tracing: bool = False
    """A line in the log for every reply, with its ids, tokens and times."""
    metrics_path: Annotated[str, Meta(pattern="^/[A-Za-z0-9_./-]+$")] = "/metrics"


class DataSettings(Section, frozen=True):
    """`[data]`: where the appliance keeps what it must not lose."""

    dir: str = ""
    """Empty: this system's folder for a program's data."""
    undo_seconds: Annotated[float, Meta(ge=0)] = 30 * 24 * 3600.0
    """How long a deleted chat can be restored; then it is removed for good."""


class HubSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the hub is reached, by the names that its own programs use."""

    endpoint: str = "https://huggingface.co"
    token: str = ""
    token_file: Path | None = None
    """Where a token is when `token` is empty; it need not be there."""
    offline: bool = False
    """No requests to the hub."""


class Config(Section, frozen=True):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    models: ModelsSettings = ModelsSettings()
    engine: EngineSettings = EngineSettings()
    security: SecuritySettings = SecuritySettings()
    limits: LimitsSettings = LimitsSettings()
    observability: ObservabilitySettings = ObservabilitySettings()
    data: DataSettings = DataSettings()
