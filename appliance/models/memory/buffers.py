"""The sizes of llama.cpp's buffers, from a header.

Caches are arithmetic and come out exactly. The compute buffer is what the graph of a layer, or of
the output, needs at its widest, with a little for what the allocator leaves unused; it was held
against llama.cpp's own figures for dense, expert, sliding-window, recurrent and hybrid
architectures. Where an architecture is unknown, the figures err to more.
"""

from functools import lru_cache

import msgspec

from appliance.models.gguf.metadata import GgufHeader, Tensor
from appliance.models.gguf.tensor_types import TYPES

FLOAT = 4
"""Bytes."""

# Every how many layers one sees everything, where files do not say, and whether that is the first
# of them and not the last.
_PERIODS = {
    "afmoe": (4, False),
    "cohere2": (4, False),
    "cohere2moe": (4, True),
    "exaone4": (4, False),
    "exaone-moe": (4, False),
    "gemma-embedding": (6, False),
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "laguna": (4, True),
    "mellum": (4, False),
    "modern-bert": (3, True),
    "muse-glimmer": (4, False),
    "olmo2": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
}


class ContextShape(msgspec.Struct, frozen=True, kw_only=True):
    """llama.cpp's context parameters, as it rounds and bounds them."""

    cells: int
    """Tokens of one stream of the KV cache."""
    streams: int
    sequences: int
    tokens: int
    """Tokens that are computed together."""
    outputs: int
    """How many of these tokens may need logits."""
    type_k: str
    type_v: str
    flash_attn: bool
    swa_full: bool


@lru_cache(maxsize=16)
def placed(header: GgufHeader) -> list[tuple[int, Tensor]]:
    """The tensors, each with its layer: -1 for the input, `block_count` for the output. An estimate
    for each number of layers on a GPU asks."""
    return [(_layer_of(tensor, header), tensor) for tensor in header.tensors]


def _layer_of(tensor: Tensor, header: GgufHeader) -> int:
    parts = tensor.name.split(".", 2)
    if parts[0] == "blk" and len(parts) > 1 and parts[1].isdecimal():
        return min(int(parts[1]), header.block_count)
    return header.block_count if parts[0].startswith(("output", "cls")) else -1


def padded(size: int, to: int) -> int:
    """`size`, rounded up to a multiple."""
    return -(-size // to) * to


def _detail(header: GgufHeader, name: str, default: int = 0) -> int:
    value = header.details.get(name, default)
    return max(0, value) if isinstance(value, int) else default


def _slides(header: GgufHeader, layer: int) -> bool:
    """Whether a layer looks back `sliding_window` tokens only."""
    if not header.sliding_window:
        return False
    pattern = header.details.get("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        return layer < len(pattern) and bool(pattern[layer])
    if header.architecture not in _PERIODS:
        return False
    period, first = _PERIODS[header.architecture]
    period = _detail(header, "attention.sliding_window_pattern") or period
    return layer % period != (0 if first else period - 1)


def _cells(header: GgufHeader, shape: ContextShape, layer: int) -> int:
    if shape.swa_full or not _slides(header, layer):
        return shape.cells
    window = header.sliding_window * (shape.sequences if shape.streams == 1 else 1)
    return padded(min(shape.cells, window + shape.tokens), 256)


def _recurrent(header: GgufHeader, layer: int) -> bool:
    interval = _detail(header, "full_attention_interval")
    if interval:
        return (layer + 1) % interval != 0
    return header.is_recurrent and (
        header.head_count_kv[layer] == 0 or header.architecture == "falcon-h1"
    )


def cache_size(header: GgufHeader, shape: ContextShape, layer: int) -> int:
    """Bytes that a layer keeps of what it has read."""
    own = header.block_count - _detail(header, "nextn_predict_layers")
    if layer >= own:
        return 0
    state = _state(header) * shape.sequences * FLOAT if _recurrent(header, layer) else 0
    if state and header.architecture != "falcon-h1":
        return state
    if layer >= own - _detail(header, "attention.shared_kv_layers"):
        return 0
    heads = header.head_count_kv[layer]
    # Without flash attention values lie across, and every layer has room for the most heads.
    wide = heads if shape.flash_attn else max(header.head_count_kv)
    swa = "_swa" if _slides(header, layer) else ""
    key = heads * _detail(header, f"attention.key_length{swa}", header.key_length)
    value = wide * _detail(header, f"attention.value_length{swa}", header.value_length)
    if _detail(header, "attention.key_length_mla"):
        value = 0
    rows = _cells(header, shape, layer) * shape.streams
    return state + rows * (_row(shape.type_k, key) + _row(shape.type_v, value))


def _row(kind: str, values: int) -> int:
    block, size = TYPES[kind]
    return -(-values // block) * size


def _state(header: GgufHeader) -> int:
    """Values that a recurrent layer keeps for one sequence."""
    n_embd = header.embedding_length
    wkv = _detail(header, "wkv.head_size")
    if wkv:
        return n_embd * (wkv + _detail(header, "token_shift_count", 2))
    short = _detail(header, "shortconv.l_cache")
    if short:
        return n_embd * (short - 1)
    kernel = _detail(header, "ssm.conv_kernel")
    kda = _detail(header, "kda.head_dim")
    if kda:
        width = max(header.head_count, default=0) * kda
        return width * (3 * (kernel - 1 if kernel else 3) + kda)
    inner, state = _detail(header, "ssm.inner_size"), _detail(header, "ssm.state_size")
    groups = 2 * _detail(header, "ssm.group_count") * state
    return max(0, kernel - 1) * (inner + groups) + state * inner


# -- the compute buffer ---------------------------------------------------------------------------


def mask_size(header: GgufHeader, shape: ContextShape) -> int:
    """Bytes of who may look at whom, once for each kind of layer."""
    kinds = {
        _slides(header, layer): _cells(header, shape, layer)
        for layer in range(header.block_count)
        if header.head_count_kv[layer]
    }
    return sum(kinds.values()) * shape.tokens * (FLOAT // 2 if shape.flash_attn else FLOAT)


def compute_size(header: GgufHeader, shape: ContextShape, layers: range, *, output: bool) -> int:
    """Bytes at the widest place of the graph: in one of `layers`, or at the output."""
    widths = _widths(header)
    bytes_a_value = shape.tokens * FLOAT
    masks = mask_size(header, shape)
    embedding = header.embedding_length
    widest = 0
    for layer in layers:
        width = widths.get(layer, _Widths())
        attention = 4 * embedding + 3 * width.query + width.keys
        if not shape.flash_attn and header.head_count_kv[layer]:
            attention += header.head_count[layer] * _cells(header, shape, layer)
        forward = 5 * embedding + 3 * width.forward
        if width.expert:
            chosen = header.expert_used_count * (embedding + 3 * width.expert)
            forward = max(forward, 4 * embedding + chosen)
        recurrent = 2 * embedding + width.recurrent
        widest = max(widest, attention, forward, recurrent)
    size = widest * bytes_a_value + masks
    if output:
        query = max((width.query for width in widths.values()), default=0)
        around = 6 * embedding + 2 * max(query, embedding)
        logits = header.vocab_size * shape.outputs * FLOAT
        size = max(size, logits + around * bytes_a_value)
    return size


class _Widths(msgspec.Struct):
    """Values that the parts of a layer have for one token."""

    query: int = 0
    keys: int = 0
    """And values."""
    forward: int = 0
    expert: int = 0
    recurrent: int = 0


@lru_cache(maxsize=16)
def _widths(header: GgufHeader) -> dict[int, _Widths]:
    """By the shapes of the weights; called as often as `placed`."""
    found: dict[int, _Widths] = {}
    for layer, tensor in placed(header):
        parts = tensor.name.split(".")
        if len(parts) != 4 or parts[0] != "blk" or len(tensor.dims) < 2:
            continue
        width = found.setdefault(layer, _Widths())
        out = tensor.dims[1]
        match parts[2]:
            case "attn_q" | "attn_q_b" | "attn_qkv":
                width.query = out
            case "attn_k" | "attn_v":
                width.keys += out
            case "ffn_up" | "ffn_gate":
                width.forward = max(width.forward, out)
            case "ffn_up_exps" | "ffn_gate_exps" | "ffn_gate_up_exps":
                width.expert = max(width.expert, out)
            case "ssm_in":
                width.recurrent = out + 4 * _detail(header, "ssm.inner_size")
    return found
