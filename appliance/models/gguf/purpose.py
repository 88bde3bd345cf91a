"""What a GGUF file is for, by its header: most write text, some make vectors, and others are a part
of a model, or do what no worker here can."""

from appliance.models.gguf.metadata import GgufHeader

_PARTS = {
    "adapter": "an adapter, which changes another model and is none itself",
    "controlvector": "a control vector, which changes another model and is none itself",
    "mmproj": "a projector, which shows images or sounds to another model and is none itself",
    "clip": "a projector, which shows images or sounds to another model and is none itself",
    "imatrix": "an importance matrix, which quantizing needs, and no model",
}
"""By their kind or architecture."""

_SPEAKS = "it makes sounds, and no text"
_DRAFTS = "it drafts for another model, and can't write alone"
_DIFFUSES = "it writes by diffusion, and not one token after the other"
_NOT_RUN = {
    "t5": "it reads with an encoder and writes with a decoder",
    "t5encoder": "it is the encoder alone of a model with a decoder",
    "dream": _DIFFUSES,
    "llada": _DIFFUSES,
    "llada-moe": _DIFFUSES,
    "rnd1": _DIFFUSES,
    "eagle3": _DRAFTS,
    "dflash": _DRAFTS,
    "gemma4-assistant": _DRAFTS,
    "pockettts": _SPEAKS,
    "qwen3tts": _SPEAKS,
    "wavtokenizer-dec": _SPEAKS,
}
"""By their architecture. llama.cpp loads them for programs of their own; asked to write as others
do, it aborts or writes nonsense."""

_ENCODERS = (
    *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2"),
    *("jina-bert-v3", "eurobert", "gemma-embedding", "llama-embed"),
)


def part_of_another(header: GgufHeader) -> str:
    """What a file is that stands for no model by itself; empty: it does."""
    part = _PARTS.get(header.kind) or _PARTS.get(header.architecture)
    if part:
        return part
    if not header.architecture or not header.embedding_length:
        return "no model: it does not describe one"
    return ""


def why_not_run(header: GgufHeader) -> str:
    """Why a model cannot be run here; empty: it can.

    `header`: of all its files, see `shards.read_model`.
    """
    why = _NOT_RUN.get(header.architecture)
    if why:
        return f"{why}, which is not supported ({header.architecture})"
    if not any(tensor.name == "token_embd.weight" for tensor in header.tensors):
        return "it has a vocabulary and no weights"
    return ""


def only_embeds(header: GgufHeader) -> bool:
    """Whether it makes vectors out of texts, and writes none."""
    return header.architecture in _ENCODERS or header.pooling not in (None, "none")
