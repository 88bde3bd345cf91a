"""What the service and a worker send each other: typed values, and nothing else.

Every `Generate` gets exactly one `Accepted` or `Failed` first, and ends with exactly one `Finished`
or `Failed`; an `Embed` with `Embedded`, `TextResult` or `Failed`, or `Finished` when it was
cancelled.
"""

from collections.abc import Callable
from typing import BinaryIO, Literal

import msgspec
from msgspec import structs

from appliance.config.context import ContextSettings, FlashAttention, KvType
from appliance.engine.types import EmbedRequest, GenerationRequest, TextRequest
from appliance.system.framing import frame, read_frame

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]

CachedFrom = Literal["slot", "shared", "memory", "disk"]
"""Where the cached prefix of a prompt was: in the slot itself, in another one, in host memory or in
a file."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can compute, as llama.cpp finds it."""

    name: str
    """llama.cpp's, such as `CPU`, `CUDA0`, `Vulkan1`, `MTL0`."""
    description: str
    """As its vendor names it."""
    kind: Literal["cpu", "gpu", "igpu", "accelerator"]
    """`igpu`: a GPU that shares the processor's memory."""
    family: str
    """`cpu`, `cuda`, `metal`, `vulkan` …"""
    free: int
    """Bytes."""
    total: int
    id: str = ""
    """Its bus address; the same in every family that finds it. Empty: unknown."""
    driver: str = ""
    """Name and version, for people."""
    build: str = ""
    """What changes with the driver; empty: unknown."""


PROCESSOR = Device(name="CPU", description="", kind="cpu", family="cpu", free=0, total=0)
"""Where no other devices were looked for."""

Trust = Literal["trusted", "slow", "unproven", "wrong", "failed"]
"""Whether a model may be computed on a device: it is the processor, or computes the same; it is
slow; they were not compared yet; it computes something else; it died, or could not be tried."""


class AssessedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device of this machine, and whether a model may be computed on it."""

    device: Device
    trust: Trust = "trusted"
    detail: str = ""
    """Why it is not used; for people."""


# -- commands: service → worker ------------------------------------------------------------------


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """How the model runs fastest on this machine's processor; see `tuning.tune`."""

    path: str
    """The original file, or one with its weights rewritten."""
    n_threads: int
    n_threads_batch: int
    n_ubatch: int
    flash_attn: FlashAttention
    type_k: KvType
    type_v: KvType


class Load(ContextSettings, frozen=True, tag="load", kw_only=True):
    """The first command; answered by `Loading`… and then `Ready` or `LoadFailed`."""

    path: str
    cpu_apart: bool = False
    """On the processor, slots have cells of their own although they were to share them: there is
    plenty of memory."""
    n_threads: int
    """0: at most one a physical core, fewer while other programs want the cores."""
    n_threads_batch: int = 0
    """For prompts; 0: as `n_threads`."""
    tuned: Tuned | None = None
    """Used on the processor, in place of the settings of the same names."""
    max_running: int = 0
    """Sequences that run together; 0: as many as there are slots."""
    variant: str = ""
    """The variant of llama.cpp's CPU backend; empty: llama.cpp's own choice."""
    device: str = "auto"
    """`auto`, `cpu`, a family such as `vulkan`, or a device's name, in small letters; one that is
    not there gives way to the processor."""
    n_gpu_layers: int = -1
    """-1: as many as fit."""
    excluded: dict[str, str] = msgspec.field(default_factory=dict)
    """Devices that must not be used, by name, and why."""
    no_gpus: str = ""
    """Why GPUs are not even looked for; empty: they are."""
    fidelity_folder: str = ""
    """Where the comparisons of GPUs with the processor are stored: those that were not compared are
    not used. Empty: all are."""
    gpu_bytes: tuple[int, ...] = ()
    """Memory that 0, 1, 2 … layers take on a GPU, estimated from the file; empty: unknown."""
    gpu_bytes_apart: int = 0
    """The same for all slots with separate cells, which are used if that is little; 0: as
    `kv_unified` says."""
    template_command: tuple[str, ...]
    """Starts the process that renders the chat template."""
    family: str = ""
    """The family of a file in the old GGML format; empty: the file is a GGUF."""
    kv_folder: str = ""
    """Where states are saved; empty: nowhere."""
    kv_memory_bytes: int = 0
    kv_disk_bytes: int = 0
    kv_min_tokens: int = 64
    """Shorter sequences are not worth saving."""

    def settings(self) -> ContextSettings:
        """Only the context's settings."""
        names = ContextSettings.__struct_fields__
        return ContextSettings(**{name: getattr(self, name) for name in names})

    def on_processor(self) -> "Load":
        """With what tuning found in place of the settings of the same names."""
        return structs.replace(self, **structs.asdict(self.tuned)) if self.tuned else self


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; measured in the worker, or in the service where a worker died."""

    queued: float
    prefill: float
    decode: float


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier worker made of a request, for the next one to go on with: a reply is its
    tokens, and all else follows from them and the seed."""

    seed: int
    """As `Accepted` reported it."""
    tokens: list[int] = []
    """The reply's tokens that were already sent."""
    mirostat_mu: float | None = None
    """As the last `Delta` reported it."""
    cached_tokens: int = 0
    cached_from: CachedFrom | None = None
    timings: Timings
    """Up to now."""


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """One sequence to complete."""

    id: int
    request: GenerationRequest
    begun: Begun | None = None
    """None: no worker accepted it yet."""


class Embed(msgspec.Struct, frozen=True, tag="embed"):
    """Vectors to compute, or work on a text alone: no reply is written."""

    id: int
    request: EmbedRequest | TextRequest


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End a request at the next step; one that has ended already is no error."""

    id: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Answered at once by the intake thread, also in the middle of a step."""


class Forget(msgspec.Struct, frozen=True, tag="forget"):
    """A session was deleted: drop its cached and saved states."""

    session: str


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Save states and end. A pipe that ends means: end at once."""


Command = Load | Generate | Embed | Cancel | Ping | Forget | Shutdown


# -- events: worker → service --------------------------------------------------------------------


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """Progress of a load, 0 … 1; the first comes before anything is allocated."""

    fraction: float
    on: tuple[str, ...] = ()
    """Names of the GPUs that it is loaded on."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker reports of the loaded model."""

    description: str
    """llama.cpp's own line, such as `llama 134M Q4_1`."""
    n_ctx: int
    """Tokens that one sequence may span."""
    n_ctx_train: int
    n_params: int
    size: int
    """Bytes of weights."""
    n_seq_max: int
    """Sequences that run together."""
    device: str
    """`cpu`, `cuda`, `metal`, `vulkan` or another family of GPUs."""
    fingerprint: str = ""
    """Of all that decides what it computes, to the last digit; empty: nobody can say."""
    variant: str = ""
    """The variant of llama.cpp's CPU backend; empty: it was not chosen."""
    on: tuple[str, ...] = ()
    """Names of the GPUs that compute it."""
    devices: tuple[AssessedDevice, ...] = ()
    """Where it could run here; none of a model that runs elsewhere."""
    unproven: tuple[str, ...] = ()
    """GPUs that it would run on if they were compared with the processor."""
    n_gpu_layers: int = 0
    warning: str | None = None
    """What differs from the request or the configuration."""
    bos: str = ""
    """The text of the token that a prompt begins with, and of the one that ends a reply; empty:
    there is none, or it is not known."""
    eos: str = ""
    tuned: Literal["", "used", "refused"] = ""
    """Whether `Load.tuned` was used; refused: it could not be loaded, and the original was."""
    file: str = ""
    """What was loaded."""
    context: ContextSettings | None = None
    """What its context was made with; None: it has none of llama.cpp's."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded and takes requests."""

    model: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag="load_failed"):
    """The model cannot be loaded; the worker ends."""

    message: str


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The worker is alive."""

    step_seconds: float
    """How long the step under way has run; 0 when there is none."""
    reading: int = 0
    """The request whose text has been worked on for longest without a pause; 0: there is none."""
    reading_seconds: float = 0.0


class AttachedFit(msgspec.Struct, frozen=True):
    """How much of a text that a message has with it is in the prompt."""

    tokens: int
    """Of the whole text."""
    shown: int | None
    """Characters, from the beginning; None: all."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The prompt was tokenized and fits; the sequence waits for a slot."""

    id: int
    prompt_tokens: int
    seed: int
    dropped_messages: int = 0
    n_ctx: int | None = None
    """Tokens that one sequence may span; None: unknown."""
    warning: str | None = None
    """What differs from the request or the configuration."""
    fingerprint: str = ""
    """See `ModelInfo.fingerprint`."""
    attached: list[AttachedFit] = []
    """Of the last message that has texts with it."""


class Queued(msgspec.Struct, frozen=True, tag="queued"):
    """The sequence waits for a slot; sent whenever its position in the queue changes."""

    id: int
    position: int
    """1: the next."""


class Prefill(msgspec.Struct, frozen=True, tag="prefill"):
    """How much of the prompt is in the KV cache; sent before the first step and after each chunk:
    from then on the worker is at work on it."""

    id: int
    done: int
    """Tokens, cached ones included."""
    cached_tokens: int
    cached_from: CachedFrom | None = None


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """A token's text and the natural logarithm of its probability."""

    text: bytes
    logprob: float
    id: int = -1
    """-1: an engine that doesn't know it."""


class Logprobs(msgspec.Struct, frozen=True, array_like=True):
    """The token that was sampled, and the likeliest ones in its place."""

    token: TokenLogprob
    top: list[TokenLogprob]


class CallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """More of a tool call: at first its id and name, then JSON text of its arguments."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Delta(msgspec.Struct, frozen=True, tag="delta", omit_defaults=True):
    """What is new of a sequence; whole characters, never part of a stop text."""

    id: int
    text: str
    tokens: int
    """Completion tokens so far."""
    reasoning: str = ""
    calls: list[CallDelta] = []
    logprobs: list[Logprobs] | None = None
    """For the tokens since the last delta, if requested."""
    new_tokens: list[int] = []
    """Those since the last delta; none of an engine that doesn't know them."""
    mirostat_mu: float | None = None
    """What mirostat keeps from one token to the next; None: it isn't used."""


class Finished(msgspec.Struct, frozen=True, tag="finished", kw_only=True):
    """The sequence ended as it should, or was cancelled."""

    id: int
    reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    cached_from: CachedFrom | None = None
    completion_tokens: int
    timings: Timings
    stop_text: str | None = None
    """The stop text that ended it; None: something else did, or it is not known."""


class Embedded(msgspec.Struct, frozen=True, tag="embedded"):
    """The vectors of an `Embed`, in the order of its inputs."""

    id: int
    vectors: list[bytes]
    """32-bit floats, little-endian; of length 1."""
    prompt_tokens: int
    """Tokens of all inputs together."""


class TextResult(msgspec.Struct, frozen=True, tag="text_result", omit_defaults=True):
    """The answer to a `TextRequest`."""

    id: int
    tokens: list[int] = []
    pieces: list[bytes] = []
    """The tokens' texts."""
    control: list[int] = []
    """Of a prompt: where its control tokens are."""
    text: str = ""
    fits: list[AttachedFit] = []
    n_ctx: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The request ended by an error of `appliance.errors`, named by its code."""

    id: int
    code: str
    message: str
    param: str | None = None


class WorkerStats(msgspec.Struct, frozen=True, tag="worker_stats", kw_only=True):
    """Token counts since the worker started, and what its KV states take now."""

    prefilled_tokens: int
    """Tokens of prompts that were computed."""
    saved_tokens: int
    """Tokens of prompts that were found in the cache instead."""
    completion_tokens: int
    kv_bytes: int
    """In cells of the KV cache."""
    kv_memory_bytes: int
    """In host memory."""


Terminal = Finished | Embedded | TextResult | Failed
SequenceEvent = Accepted | Queued | Prefill | Delta | Terminal
Event = Loading | Ready | LoadFailed | Pong | WorkerStats | SequenceEvent

EventSink = Callable[[SequenceEvent], None]
"""Receives every event of a request, in the service."""


def cancelled(id: int, prompt_tokens: int = 0, begun: Begun | None = None) -> Finished:
    """The end of a request that was cancelled; `begun`: while no worker had it."""
    return Finished(
        id=id,
        reason="cancelled",
        prompt_tokens=prompt_tokens,
        cached_tokens=begun.cached_tokens if begun else 0,
        cached_from=begun.cached_from if begun else None,
        completion_tokens=len(begun.tokens) if begun else 0,
        timings=begun.timings if begun else Timings(queued=0, prefill=0, decode=0),
    )


# -- frames of MessagePack: one command, or all events of a step ---------------------------------

_encoder = msgspec.msgpack.Encoder()
_commands = msgspec.msgpack.Decoder(Command)
_events = msgspec.msgpack.Decoder(list[Event])


def encode(message: Command | list[Event]) -> bytes:
    """One whole frame."""
    return frame(_encoder.encode(message))


def read_command(pipe: BinaryIO) -> Command | None:
    """The next command; None when the other side is gone.

    Raises:
        ValueError: what came is not of this protocol (`msgspec.ValidationError` included).
    """
    body = read_frame(pipe)
    return None if body is None else _commands.decode(body)


def read_events(pipe: BinaryIO) -> list[Event] | None:
    """The next frame's events; None when the worker is gone.

    Raises:
        ValueError: what came is not of this protocol (`msgspec.ValidationError` included).
    """
    body = read_frame(pipe)
    return None if body is None else _events.decode(body)
