"""What a file is for: only what writes text or makes vectors is on offer."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import BadModelFile
from appliance.models.gguf.purpose import only_embeds
from appliance.models.gguf.shards import read_model
from appliance.models.local.index import ModelIndex
from appliance.models.local.metadata_cache import MetadataCache
from appliance.models.local.sources import ModelSource
from appliance.models.memory.fit import MemoryNeeds
from tests.models.architectures import bert, gemma3, mamba
from tests.models.gguf_writer import Gguf, Tensor, llama, text
from tests.worker.llama_sources import archive

NOT_RUN = {
    "t5": "writes with a decoder",
    "t5encoder": "the encoder alone",
    "dream": "by diffusion",
    "llada-moe": "by diffusion",
    "eagle3": "drafts for another model",
    "gemma4-assistant": "drafts for another model",
    "qwen3tts": "makes sounds",
}
PARTS = {
    "adapter": Gguf(
        (text("general.type", "adapter"), text("general.architecture", "llama")),
        (Tensor("blk.0.attn_q.weight.lora_a", (64, 8)),),
    ),
    "a control vector": Gguf((text("general.architecture", "controlvector"),)),
    "projector": llama(arch="clip"),
    "importance matrix": Gguf((text("general.type", "imatrix"),)),
    "no model": Gguf(()),
}


def index_of(folder: Path) -> ModelIndex:
    return ModelIndex(
        [ModelSource("folder", folder)],
        lambda: (),
        memory_needs=lambda _: MemoryNeeds(),
        cache=MetadataCache(None, ""),
    )


@pytest.mark.parametrize("architecture", list(NOT_RUN))
def test_what_cannot_write_is_listed_with_the_reason(architecture: str, tmp_path: Path) -> None:
    file = llama(arch=architecture).save(tmp_path / "it.gguf")
    index = index_of(tmp_path)
    (entry,) = index.refresh()
    assert not entry.loads
    assert NOT_RUN[architecture] in entry.facts.fault
    assert index.why_not_offered("it") == entry.facts.fault
    with pytest.raises(BadModelFile, match=NOT_RUN[architecture]):
        read_model(file)


@pytest.mark.parametrize("kind", list(PARTS))
def test_a_part_of_a_model_is_not_listed_and_is_known_by_name(kind: str, tmp_path: Path) -> None:
    file = PARTS[kind].save(tmp_path / "it.gguf")
    index = index_of(tmp_path)
    assert index.refresh() == ()
    assert kind in (index.why_not_offered("it") or "")
    assert index.why_not_offered("another") is None
    with pytest.raises(BadModelFile, match=kind):
        read_model(file)


def test_a_vocabulary_alone_is_no_model(tmp_path: Path) -> None:
    """llama.cpp's own files of vocabularies."""
    with tarfile.open(archive()) as packed:
        for member in packed:
            name = Path(member.name).name
            if name.startswith("ggml-vocab-") and name.endswith(".gguf"):
                stream = packed.extractfile(member)
                assert stream
                (tmp_path / name).write_bytes(stream.read())
    entries = index_of(tmp_path).refresh()
    assert len(entries) >= 19
    # Those whose tokens llama.cpp itself would not take are refused for that.
    faults = [entry.facts.fault for entry in entries]
    assert all(faults)
    assert sum("no weights" in fault for fault in faults) >= 15, faults


def test_what_writes_or_makes_vectors_is_on_offer(tmp_path: Path) -> None:
    unpooled = replace(
        bert(), pairs=tuple(pair for pair in bert().pairs if b"pooling" not in pair.key)
    )
    made = {"a": llama(), "b": gemma3(), "c": mamba(), "d": bert(), "e": unpooled}
    for name, model in made.items():
        model.save(tmp_path / f"{name}.gguf")
    index = index_of(tmp_path)
    entries = index.refresh()
    assert [entry.id for entry in entries if entry.loads] == list(made)
    assert [entry.facts.embeds for entry in entries] == [False, False, False, True, True]
    assert only_embeds(read_model(tmp_path / "e.gguf"))
    assert index.why_not_offered("a") is None
