"""Small files of other architectures that llama.cpp accepts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tests.models.gguf_writer import (
    BOOL,
    F32,
    I32,
    Gguf,
    Pair,
    Tensor,
    array,
    llama,
    scalar,
    strings,
    text,
    u32,
)


def deci(n_head_kv: Sequence[int], **shape: Any) -> Gguf:
    """Heads of keys and values that differ from layer to layer."""
    return llama(arch="deci", n_layer=len(n_head_kv), n_head_kv=n_head_kv, **shape)


def qwen3(
    *, head_dim: int = 32, arch: str = "qwen3", extra: Iterable[Pair] = (), **shape: Any
) -> Gguf:
    """Heads whose length is not the embedding's divided by their number."""
    plain = llama(arch=arch, n_head_kv=2, **shape)
    n_head = int(shape.get("n_head", 4))
    extra = (
        *extra,
        u32(f"{arch}.attention.key_length", head_dim),
        u32(f"{arch}.attention.value_length", head_dim),
    )
    norms = [("attn_q_norm", (head_dim,)), ("attn_k_norm", (head_dim,))]
    if arch == "gemma3":
        n_embd = int(shape.get("n_embd", 64))
        norms += [("post_attention_norm", (n_embd,)), ("post_ffw_norm", (n_embd,))]
    tensors = [_with_heads(tensor, n_head * head_dim, 2 * head_dim) for tensor in plain.tensors]
    for layer in range(int(shape.get("n_layer", 2))):
        tensors += [Tensor(f"blk.{layer}.{name}.weight", dims) for name, dims in norms]
    return replace(plain, pairs=(*plain.pairs, *extra), tensors=tuple(tensors))


def _with_heads(tensor: Tensor, n_q: int, n_kv: int) -> Tensor:
    first, *rest = tensor.dims
    name = tensor.name.split(".")[-2]
    if name == "attn_output":
        return replace(tensor, dims=(n_q, *rest))
    width = {"attn_q": n_q, "attn_k": n_kv, "attn_v": n_kv}.get(name)
    return replace(tensor, dims=(first, width)) if width else tensor


def gemma3(*, window: int = 64, extra: Iterable[Pair] = (), **shape: Any) -> Gguf:
    """Five layers of six have a sliding window of `window` tokens."""
    slides = u32("gemma3.attention.sliding_window", window)
    return qwen3(arch="gemma3", extra=(*extra, slides), **shape)


def qwen3moe(
    *,
    n_expert: int = 8,
    n_used: int = 2,
    n_ff: int = 96,
    extra: Iterable[Pair] = (),
    **shape: Any,
) -> Gguf:
    """A router picks `n_used` of `n_expert` for each token."""
    plain = qwen3(arch="qwen3moe", extra=extra, n_ff=n_ff, **shape)
    tensors = []
    for tensor in plain.tensors:
        parts = tensor.name.split(".")
        if parts[-2] in ("ffn_gate", "ffn_up", "ffn_down"):
            name = f"blk.{parts[1]}.{parts[-2]}_exps.weight"
            tensors.append(replace(tensor, name=name, dims=(*tensor.dims, n_expert)))
        else:
            tensors.append(tensor)
    n_embd = int(shape.get("n_embd", 64))
    tensors += [
        Tensor(f"blk.{layer}.ffn_gate_inp.weight", (n_embd, n_expert))
        for layer in range(int(shape.get("n_layer", 2)))
    ]
    more = (
        u32("qwen3moe.expert_count", n_expert),
        u32("qwen3moe.expert_used_count", n_used),
        u32("qwen3moe.expert_feed_forward_length", n_ff),
    )
    return replace(plain, pairs=(*plain.pairs, *more), tensors=tuple(tensors))


def _ssm(arch: str, inner: int, state: int, rank: int, groups: int) -> list[Pair]:
    return [
        u32(f"{arch}.ssm.conv_kernel", 4),
        u32(f"{arch}.ssm.inner_size", inner),
        u32(f"{arch}.ssm.state_size", state),
        u32(f"{arch}.ssm.time_step_rank", rank),
        u32(f"{arch}.ssm.group_count", groups),
    ]


def mamba(*, n_layer: int = 2, n_embd: int = 64, state: int = 16, n_vocab: int = 288) -> Gguf:
    """No attention at all: a state of fixed size in every layer."""
    plain = llama(arch="mamba", n_layer=0, n_embd=n_embd, n_vocab=n_vocab)
    inner, rank = 2 * n_embd, max(1, n_embd // 16)
    shapes = {
        "attn_norm.weight": (n_embd,),
        "ssm_in.weight": (n_embd, 2 * inner),
        "ssm_conv1d.weight": (4, inner),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (inner, rank + 2 * state),
        "ssm_dt.weight": (rank, inner),
        "ssm_dt.bias": (inner,),
        "ssm_a": (state, inner),
        "ssm_d": (inner,),
        "ssm_out.weight": (inner, n_embd),
    }
    tensors = list(plain.tensors)
    for layer in range(n_layer):
        tensors += [Tensor(f"blk.{layer}.{name}", dims) for name, dims in shapes.items()]
    keys = (b"head_count", b"feed_forward")
    pairs = [pair for pair in plain.pairs if not any(key in pair.key for key in keys)]
    pairs += _ssm("mamba", inner, state, rank, 0)
    made = Gguf(tuple(pairs), tuple(tensors))
    return made.with_pair(u32("mamba.block_count", n_layer))


def granitehybrid(
    n_head_kv: Sequence[int], *, n_embd: int = 64, n_head: int = 4, n_ff: int = 96, state: int = 16
) -> Gguf:
    """A layer with no heads of keys and values keeps a state; the others attend."""
    inner, groups, rank = 2 * n_embd, 1, 4
    conv = inner + 2 * groups * state
    plain = llama(
        arch="granitehybrid",
        n_layer=len(n_head_kv),
        n_embd=n_embd,
        n_head=n_head,
        n_head_kv=n_head_kv,
        n_ff=n_ff,
        extra=[*_ssm("granitehybrid", inner, state, rank, groups)],
    )
    shapes = {
        "ssm_in.weight": (n_embd, 2 * inner + 2 * groups * state + rank),
        "ssm_conv1d.weight": (4, conv),
        "ssm_conv1d.bias": (conv,),
        "ssm_dt.bias": (rank,),
        "ssm_a": (1, rank),
        "ssm_d": (1, rank),
        "ssm_norm.weight": (inner // groups, groups),
        "ssm_out.weight": (inner, n_embd),
    }
    tensors = []
    attention = ("attn_q", "attn_k", "attn_v", "attn_output")
    for tensor in plain.tensors:
        parts = tensor.name.split(".")
        if not (parts[0] == "blk" and n_head_kv[int(parts[1])] == 0 and parts[2] in attention):
            tensors.append(tensor)
    for layer, kv in enumerate(n_head_kv):
        if kv == 0:
            tensors += [Tensor(f"blk.{layer}.{name}", dims) for name, dims in shapes.items()]
    return replace(plain, tensors=tuple(tensors))


def wpm_vocabulary(size: int = 288) -> list[Pair]:
    """A BERT (WordPiece) vocabulary, with a token before and after every text."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,?!"
    tokens += [f"▁{letter}" for letter in letters] + list(letters)
    tokens += [f"▁word{n}" for n in range(size - len(tokens))]
    kinds = [3, 2, 3, 3, 3, *[1] * (size - 5)]
    ids = {"padding": 0, "unknown": 1, "bos": 2, "eos": 3, "seperator": 3, "mask": 4}
    return [
        text("tokenizer.ggml.model", "bert"),
        strings("tokenizer.ggml.tokens", tokens),
        array("tokenizer.ggml.scores", F32, [0.0] * size),
        array("tokenizer.ggml.token_type", I32, kinds),
        u32("tokenizer.ggml.token_type_count", 2),
        *(u32(f"tokenizer.ggml.{name}_token_id", id) for name, id in ids.items()),
    ]


def bert(
    *,
    n_layer: int = 2,
    n_embd: int = 64,
    n_ff: int = 96,
    n_vocab: int = 288,
    n_ctx: int = 256,
    pooling: int = 1,
) -> Gguf:
    """Embeddings alone; `pooling` as llama.cpp counts: 0 none, 1 mean, 2 the first, 3 the last,
    4 a score of its own."""
    pairs = [
        text("general.architecture", "bert"),
        text("general.name", "Tiny"),
        u32("bert.context_length", n_ctx),
        u32("bert.embedding_length", n_embd),
        u32("bert.block_count", n_layer),
        u32("bert.feed_forward_length", n_ff),
        u32("bert.attention.head_count", 4),
        u32("bert.pooling_type", pooling),
        scalar("bert.attention.causal", BOOL, value=False),
        scalar("bert.attention.layer_norm_epsilon", F32, 1e-5),
        *wpm_vocabulary(n_vocab),
    ]
    matrices = {
        "token_embd": (n_embd, n_vocab),
        "token_types": (n_embd, 2),
        "position_embd": (n_embd, n_ctx),
    }
    tensors = [Tensor(f"{name}.weight", shape) for name, shape in matrices.items()]
    linear: dict[str, tuple[int, ...]] = {"token_embd_norm": (n_embd,)}
    for layer in range(n_layer):
        linear |= {
            f"blk.{layer}.{name}": (n_embd, n_embd)
            for name in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        linear |= {f"blk.{layer}.ffn_up": (n_embd, n_ff), f"blk.{layer}.ffn_down": (n_ff, n_embd)}
        linear |= {
            f"blk.{layer}.{name}": (n_embd,) for name in ("attn_output_norm", "layer_output_norm")
        }
    for name, shape in linear.items():
        tensors += [Tensor(f"{name}.weight", shape), Tensor(f"{name}.bias", shape[-1:])]
    return Gguf(tuple(pairs), tuple(tensors))
