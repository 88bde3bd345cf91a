"""Generates tiny models in the old GGML format, so that no third-party file is needed."""

import random
import struct
from array import array
from collections.abc import Callable, Iterable

Weights = Callable[[str, tuple[int, ...]], Iterable[float]]
"""The values of the tensor of that name and those dimensions; the first runs fastest."""
Tensors = dict[str, tuple[int, ...]]

END = b"<|endoftext|>"
BYTES = [END, *(bytes([value]) for value in range(1, 256)), b" the", b"the", b" th", b"he"]
"""A vocabulary with which every text can be written, but for the byte 0."""
N_CTX = 256
N_EMBD, N_HEAD, N_LAYER = 32, 2, 2


def model(
    family: str,
    weights: Weights,
    tokens: list[bytes] = BYTES,
    *,
    n_ctx: int = N_CTX,
    n_embd: int = N_EMBD,
) -> bytes:
    """A complete file. `family`: its name in the configuration."""
    numbers = {
        "n_vocab": len(tokens),
        "n_ctx": n_ctx,
        "n_embd": n_embd,
        "n_head": N_HEAD,
        "n_layer": N_LAYER,
        "n_rot": n_embd // N_HEAD // 2,
        "par_res": 1,
        "alibi": 0x41000000,  # 8.0
        "clip": 0,
        "ftype": 0,
    }
    file = bytearray(b"lmgg")
    for name in _HEADERS[family].split():
        file += struct.pack("<i", numbers[name])
    for index, text in enumerate(tokens):
        # MPT's files have the bytes of a token as characters.
        token = text.decode("latin-1").encode() if family == "mpt" else text
        file += struct.pack("<i", len(token)) + token
        if family == "replit":
            file += struct.pack("<f", -float(index))
    for name, dims in _TENSORS[family](len(tokens), n_ctx, n_embd).items():
        file += struct.pack("<iii", len(dims), len(name), 0)
        file += struct.pack(f"<{len(dims)}i", *dims) + name.encode()
        file += array("f", weights(name, dims)).tobytes()
    return bytes(file)


def random_weights(seed: int = 1) -> Weights:
    """Random weights, large enough that rounding never decides which token is the most likely."""
    dice = random.Random(seed)

    def weights(name: str, dims: tuple[int, ...]) -> Iterable[float]:
        if len(dims) == 1:  # of norms and biases
            return (0.5 + dice.random() for _ in range(dims[0]))
        return (dice.gauss(0, 0.5) for _ in range(dims[0] * dims[1]))

    return weights


def equal_weights(name: str, dims: tuple[int, ...]) -> Iterable[float]:
    """Equal weights: all tokens are equally likely."""
    return [0.0] * (dims[0] * (dims[1] if len(dims) == 2 else 1))


def reciting_gpt2(tokens: list[bytes]) -> bytes:
    """After each token comes the next of the vocabulary, and after the last the first."""
    count = len(tokens)

    def weights(name: str, dims: tuple[int, ...]) -> Iterable[float]:
        if name in ("model/wte", "model/lm_head"):
            shift = int(name == "model/lm_head")
            return (
                float(column == (row - shift) % count)
                for row in range(count)
                for column in range(count)
            )
        return [1.0] * dims[0] if name.endswith("/g") else equal_weights(name, dims)

    return model("gpt2", weights, tokens, n_embd=count)


# -- how the families are laid out ----------------------------------------------------------------


def _gpt2(v: int, c: int, e: int) -> Tensors:
    tensors: Tensors = {
        "model/wte": (e, v),
        "model/wpe": (e, c),
        "model/ln_f/g": (e,),
        "model/ln_f/b": (e,),
        "model/lm_head": (e, v),
    }
    for i in range(N_LAYER):
        tensors |= {
            f"model/h{i}/ln_1/g": (e,),
            f"model/h{i}/ln_1/b": (e,),
            f"model/h{i}/ln_2/g": (e,),
            f"model/h{i}/ln_2/b": (e,),
            f"model/h{i}/attn/c_attn/w": (e, 3 * e),
            f"model/h{i}/attn/c_attn/b": (3 * e,),
            f"model/h{i}/attn/c_proj/w": (e, e),
            f"model/h{i}/attn/c_proj/b": (e,),
            f"model/h{i}/mlp/c_fc/w": (e, 4 * e),
            f"model/h{i}/mlp/c_fc/b": (4 * e,),
            f"model/h{i}/mlp/c_proj/w": (4 * e, e),
            f"model/h{i}/mlp/c_proj/b": (e,),
        }
    return tensors


def _gptj(v: int, c: int, e: int) -> Tensors:
    tensors: Tensors = {
        "transformer.wte.weight": (e, v),
        "transformer.ln_f.weight": (e,),
        "transformer.ln_f.bias": (e,),
        "lm_head.weight": (e, v),
        "lm_head.bias": (v,),
    }
    for i in range(N_LAYER):
        tensors |= {
            f"transformer.h.{i}.ln_1.weight": (e,),
            f"transformer.h.{i}.ln_1.bias": (e,),
            **{f"transformer.h.{i}.attn.{p}_proj.weight": (e, e) for p in ("q", "k", "v", "out")},
            f"transformer.h.{i}.mlp.fc_in.weight": (e, 4 * e),
            f"transformer.h.{i}.mlp.fc_in.bias": (4 * e,),
            f"transformer.h.{i}.mlp.fc_out.weight": (4 * e, e),
            f"transformer.h.{i}.mlp.fc_out.bias": (e,),
        }
    return tensors


def _neox(v: int, c: int, e: int) -> Tensors:
    tensors: Tensors = {
        "gpt_neox.embed_in.weight": (e, v),
        "gpt_neox.final_layer_norm.weight": (e,),
        "gpt_neox.final_layer_norm.bias": (e,),
        "embed_out.weight": (e, v),
    }
    for i in range(N_LAYER):
        for name, dims in (
            ("attention.query_key_value", (e, 3 * e)),
            ("attention.dense", (e, e)),
            ("mlp.dense_h_to_4h", (e, 4 * e)),
            ("mlp.dense_4h_to_h", (4 * e, e)),
        ):
            tensors[f"gpt_neox.layers.{i}.{name}.weight"] = dims
            tensors[f"gpt_neox.layers.{i}.{name}.bias"] = dims[1:]
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"gpt_neox.layers.{i}.{name}.weight"] = (e,)
            tensors[f"gpt_neox.layers.{i}.{name}.bias"] = (e,)
    return tensors


def _mpt(v: int, c: int, e: int) -> Tensors:
    tensors: Tensors = {"transformer.wte.weight": (e, v), "transformer.norm_f.weight": (e,)}
    for i in range(N_LAYER):
        tensors |= {
            f"transformer.blocks.{i}.norm_1.weight": (e,),
            f"transformer.blocks.{i}.attn.Wqkv.weight": (e, 3 * e),
            f"transformer.blocks.{i}.attn.out_proj.weight": (e, e),
            f"transformer.blocks.{i}.norm_2.weight": (e,),
            f"transformer.blocks.{i}.ffn.up_proj.weight": (e, 4 * e),
            f"transformer.blocks.{i}.ffn.down_proj.weight": (4 * e, e),
        }
    return tensors


_HEADERS = {
    "gpt2": "n_vocab n_ctx n_embd n_head n_layer ftype n_vocab",
    "starcoder": "n_vocab n_ctx n_embd n_head n_layer ftype n_vocab",
    "gptj": "n_vocab n_ctx n_embd n_head n_layer n_rot ftype n_vocab",
    "gpt_neox": "n_vocab n_ctx n_embd n_head n_layer n_rot par_res ftype",
    "dolly": "n_vocab n_ctx n_embd n_head n_layer n_rot par_res ftype",
    "mpt": "n_embd n_ctx n_head n_layer n_vocab alibi clip ftype",
    "replit": "n_embd n_ctx n_head n_layer n_vocab ftype",
}
_TENSORS: dict[str, Callable[[int, int, int], Tensors]] = {
    "gpt2": _gpt2,
    "starcoder": _gpt2,
    "gptj": _gptj,
    "gpt_neox": _neox,
    "dolly": _neox,
    "mpt": _mpt,
    "replit": _mpt,
}
FAMILIES = list(_HEADERS)
