"""How much memory a model will take, estimated before anything is loaded."""

import msgspec
from msgspec import structs

from appliance.config.context import ContextSettings
from appliance.models.gguf.metadata import GgufHeader
from appliance.models.memory.buffers import (
    FLOAT,
    ContextShape,
    cache_size,
    compute_size,
    mask_size,
    padded,
    placed,
)

PROCESS = 48 << 20
"""Bytes of a worker without a model: the interpreter and the libraries."""
TOKEN = 360
"""Bytes that a token of the vocabulary takes in llama.cpp's tables."""


LEAST_CONTEXT = 4096
"""Tokens; with less, a chat is soon too long."""


class MemoryPart(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in one kind of memory."""

    weights: int = 0
    cache: int = 0
    """Keys and values, and the states of recurrent layers."""
    compute: int = 0
    output: int = 0
    process: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.compute + self.output + self.process


class MemoryEstimate(msgspec.Struct, frozen=True):
    """What a model takes, once loaded and used."""

    cpu: MemoryPart
    gpu: MemoryPart


def estimate(header: GgufHeader, context: ContextSettings, n_gpu_layers: int = 0) -> MemoryEstimate:
    """The memory that a worker takes with a context made so.

    Of a model that is spread over several files, the tensors of this one are counted.
    """
    cells = padded(context.n_ctx or header.context_length, 256)
    streams = 1 if context.kv_unified else context.n_seq_max
    tokens = min(cells * streams, context.n_batch, context.n_ubatch)
    shape = ContextShape(
        cells=cells,
        streams=streams,
        sequences=context.n_seq_max,
        tokens=tokens,
        outputs=min(tokens, context.n_seq_max),
        type_k=context.type_k.upper(),
        type_v=context.type_v.upper(),
        flash_attn=context.flash_attn != "off",
        swa_full=context.swa_full,
    )
    first = max(0, header.block_count + 1 - n_gpu_layers)
    return MemoryEstimate(_cpu(header, shape, first), _gpu(header, shape, first))


def context_that_fits(header: GgufHeader, memory: int, context: ContextSettings) -> int:
    """The longest context that the model was trained for, or a half, a quarter … of it, with which
    it takes no more than `memory` bytes; never less than `LEAST_CONTEXT`."""
    n_ctx = header.context_length
    while n_ctx // 2 >= LEAST_CONTEXT:
        if estimate(header, structs.replace(context, n_ctx=n_ctx)).cpu.total <= memory:
            break
        n_ctx //= 2
    return n_ctx


def _cpu(header: GgufHeader, shape: ContextShape, first: int) -> MemoryPart:
    """What is left to the CPU when the layers from `first` on are elsewhere."""
    layers = range(min(first, header.block_count))
    everything = first > header.block_count
    compute = compute_size(header, shape, layers, output=everything)
    return MemoryPart(
        weights=sum(t.size for layer, t in placed(header) if layer < first),
        cache=sum(cache_size(header, shape, layer) for layer in layers),
        # What goes to a GPU is laid out here first.
        compute=max(
            compute, mask_size(header, shape) + shape.tokens * header.embedding_length * FLOAT
        ),
        output=shape.sequences * header.vocab_size * FLOAT,
        process=PROCESS + TOKEN * header.vocab_size,
    )


def _gpu(header: GgufHeader, shape: ContextShape, first: int) -> MemoryPart:
    if first > header.block_count:
        return MemoryPart()
    layers = range(first, header.block_count)
    there = [t for layer, t in placed(header) if layer >= first]
    weights = sum(t.size for t in there)
    elsewhere = [t for layer, t in placed(header) if 0 <= layer < first]
    if not any(t.name == "output.weight" for t in there):  # then the embeddings serve as output
        weights += sum(t.size for t in header.tensors if t.name == "token_embd.weight")
    return MemoryPart(
        weights=weights,
        cache=sum(cache_size(header, shape, layer) for layer in layers),
        # Long batches take the CPU's weights along, one at a time.
        compute=compute_size(header, shape, layers, output=True)
        + max((t.size for t in elsewhere), default=0),
    )
