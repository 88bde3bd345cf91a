"""The model index: real files in the layouts of other programs, and hostile folders."""

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from appliance.config import paths
from appliance.models.gguf.header import GgufHeader
from appliance.models.local.index import ConfiguredFile, ModelFile, ModelIndex
from appliance.models.local.metadata_cache import MetadataCache, ModelFacts
from appliance.models.local.sources import MAX_ENTRIES, ModelSource, Owner, candidates
from appliance.models.memory.estimate import MemoryPart
from appliance.models.memory.fit import MemoryNeeds, fits
from tests.models.gguf_writer import Gguf, llama, text, u32

TINY = llama(extra=[text("general.license", "apache-2.0"), u32("general.file_type", 0)])


def weigh(header: GgufHeader) -> MemoryNeeds:
    part = MemoryPart(weights=header.file_size)
    return MemoryNeeds(whole=header.file_size, least=header.file_size, shared=part, apart=part)


def shelf_of(
    *places: tuple[Owner, Path],
    given: Sequence[ConfiguredFile] = (),
    memory: MetadataCache | None = None,
) -> ModelIndex:
    return ModelIndex(
        [ModelSource(owner, folder) for owner, folder in places],
        lambda: given,
        memory_needs=weigh,
        cache=memory or MetadataCache(None, ""),
    )


def saved(file: Path, model: Gguf = TINY) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return model.save(file)


def ids(entries: Sequence[ModelFile]) -> list[str]:
    return [entry.id for entry in entries]


def huggingface(hub: Path, repo: str, name: str, revision: str = "a" * 40) -> Path:
    """A file as huggingface_hub stores it: a link into `blobs`."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    blob = folder / "blobs" / "b10b"
    if not blob.exists():
        saved(blob)
    link = folder / "snapshots" / revision / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def ollama(
    root: Path,
    name: str,
    tag: str,
    namespace: str = "library",
    digest: str = "",
    **more: bytes | None,
) -> Path:
    """A model as Ollama stores it: a manifest that names a blob, and further layers by their kind;
    None: a layer without content."""
    digest = digest or f"{abs(hash((name, tag))):064x}"
    blob = saved(root / "blobs" / f"sha256-{digest}")
    manifest = root / "manifests" / "registry.ollama.ai" / namespace / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
        {"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{'1' * 64}"},
    ]
    for kind, content in more.items():
        known = hashlib.sha256(content or b"gone").hexdigest()
        if content is not None:
            (root / "blobs" / f"sha256-{known}").write_bytes(content)
        media = f"application/vnd.ollama.image.{kind}"
        layers.append({"mediaType": media, "digest": f"sha256:{known}"})
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return blob


def test_models_are_found_where_every_program_keeps_them(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours" / "Qwen" / "Qwen2.5-0.5B-Instruct-GGUF" / "qwen-q4_k_m.gguf")
    link = huggingface(tmp_path / "hf", "ggml-org/Tiny-GGUF", "Tiny-Q8_0.gguf")
    lm = saved(tmp_path / "lm" / "lmstudio-community" / "Tiny-GGUF" / "Tiny-Q4_K_M.gguf")
    blob = ollama(tmp_path / "ollama", "llama3.2", "1b")
    other = ollama(tmp_path / "ollama", "own", "latest", namespace="somebody")
    cached = saved(tmp_path / "llama.cpp" / "ggml-org_tiny_tiny.gguf")
    added = saved(tmp_path / "added" / "deep" / "down" / "mine.gguf")
    places: list[tuple[Owner, Path]] = [
        ("appliance", tmp_path / "ours"),
        ("folder", tmp_path / "added"),
        ("huggingface", tmp_path / "hf"),
        ("lmstudio", tmp_path / "lm"),
        ("ollama", tmp_path / "ollama"),
        ("llama.cpp", tmp_path / "llama.cpp"),
        ("lmstudio", tmp_path / "not there"),
    ]
    found = shelf_of(*places).refresh()
    assert [(e.id, e.owner, e.path, e.repo) for e in found] == [
        ("qwen-q4_k_m", "appliance", ours, "Qwen/Qwen2.5-0.5B-Instruct-GGUF"),
        ("mine", "folder", added, ""),
        ("Tiny-Q8_0", "huggingface", link, "ggml-org/Tiny-GGUF"),
        ("Tiny-Q4_K_M", "lmstudio", lm, "lmstudio-community/Tiny-GGUF"),
        ("llama3.2:1b", "ollama", blob, ""),
        ("somebody/own:latest", "ollama", other, ""),
        ("ggml-org_tiny_tiny", "llama.cpp", cached, ""),
    ]
    for entry in found:
        facts = entry.facts
        assert entry.loads
        assert (facts.architecture, facts.quantization, facts.licence) == (
            "llama",
            "F32",
            "apache-2.0",
        )
        assert (facts.context_length, facts.size) == (256, ours.stat().st_size)
        assert not facts.embeds


def test_the_embedded_models_header_is_read() -> None:
    file = paths.embedded_model()
    (entry,) = shelf_of(given=[ConfiguredFile("small", "Small", file, "bundled")]).refresh()
    assert (entry.id, entry.name, entry.owner) == ("small", "Small", "bundled")
    assert (entry.facts.architecture, entry.facts.quantization) == ("llama", "Q4_1")
    assert entry.facts.size == file.stat().st_size
    assert entry.facts.context_length == 8192


def test_what_is_no_model_of_its_own_is_left_out(tmp_path: Path) -> None:
    saved(tmp_path / "model.gguf")
    saved(tmp_path / "mmproj-model-f16.gguf")
    saved(tmp_path / "eyes.gguf", llama(arch="clip"))
    saved(tmp_path / "adapter.gguf", Gguf((text("general.type", "adapter"),)))
    (tmp_path / "notes.txt").write_text("not a model")
    (tmp_path / "weights.safetensors").write_bytes(bytes(100))
    assert ids(shelf_of(("folder", tmp_path)).refresh()) == ["model"]


def test_a_file_that_cannot_be_loaded_is_there_with_the_reason(tmp_path: Path) -> None:
    file = saved(tmp_path / "cut.gguf")
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size - 1000)
    (tmp_path / "text.gguf").write_text("This is a text.")
    (tmp_path / "empty.gguf").touch()
    found = shelf_of(("folder", tmp_path)).refresh()
    assert ids(found) == ["cut", "empty", "text"]
    assert not any(entry.loads for entry in found)
    assert "the file at" in found[0].facts.fault
    assert "not a GGUF file" in found[2].facts.fault


def split(folder: Path, count: int) -> list[Path]:
    """A model in `count` files: everything but tensors is in the first."""
    names = [f"big-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1)]
    size = -(-len(TINY.tensors) // count)
    files = []
    for number, name in enumerate(names):
        tensors = TINY.tensors[number * size : (number + 1) * size]
        keys = (u32("split.no", number), u32("split.count", count))
        pairs = (*(TINY.pairs if number == 0 else ()), *keys)
        files.append(saved(folder / name, replace(TINY, pairs=pairs, tensors=tensors)))
    return files


def test_a_model_of_several_files_is_one_model(tmp_path: Path) -> None:
    files = split(tmp_path, 3)
    (entry,) = shelf_of(("folder", tmp_path)).refresh()
    assert (entry.id, entry.path, entry.files) == ("big", files[0], tuple(files))
    assert entry.loads
    assert entry.facts.size == sum(file.stat().st_size for file in files)


def test_a_model_that_lacks_a_file_cannot_be_loaded(tmp_path: Path) -> None:
    files = split(tmp_path, 3)
    for missing in (files[1], files[0]):
        content = missing.read_bytes()
        missing.unlink()
        (entry,) = shelf_of(("folder", tmp_path)).refresh()
        assert entry.facts.fault == "1 of its 3 files are missing"
        missing.write_bytes(content)
    saved(files[2], llama(n_layer=1))
    (entry,) = shelf_of(("folder", tmp_path)).refresh()
    assert "another model" in entry.facts.fault


def test_a_file_that_two_programs_have_is_one_model(tmp_path: Path) -> None:
    huggingface(tmp_path / "hf", "a/b", "tiny.gguf")
    huggingface(tmp_path / "hf", "a/b", "tiny.gguf", revision="b" * 40)
    file = saved(tmp_path / "ours" / "same.gguf")
    (tmp_path / "added").mkdir()
    os.link(file, tmp_path / "added" / "hard.gguf")
    (tmp_path / "added" / "soft.gguf").symlink_to(file)
    places: list[tuple[Owner, Path]] = [
        ("appliance", tmp_path / "ours"),
        ("folder", tmp_path / "added"),
        ("huggingface", tmp_path / "hf"),
    ]
    assert ids(shelf_of(*places).refresh()) == ["same", "tiny"]


def test_models_of_one_name_are_distinguished(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        saved(tmp_path / folder / "tiny.gguf", llama(n_layer=ord(folder) - 95))
    given = [ConfiguredFile("elsewhere@folder", "", None)]
    found = shelf_of(("appliance", tmp_path / "a"), ("folder", tmp_path), given=given).refresh()
    assert ids(found) == ["tiny", "tiny@folder", "tiny@folder-2"]


def test_a_listed_model_keeps_its_id_wherever_it_is_found(tmp_path: Path) -> None:
    file = saved(tmp_path / "tiny.gguf")
    given = [
        ConfiguredFile("mine", "My model", file),
        ConfiguredFile("tiny", "Runs elsewhere", None),
    ]
    (entry,) = shelf_of(("appliance", tmp_path), given=given).refresh()
    assert (entry.id, entry.name) == ("mine", "My model")
    saved(tmp_path / "b" / "tiny.gguf", llama(n_layer=1))
    found = shelf_of(("appliance", tmp_path), given=given).refresh()
    assert ids(found) == ["mine", "tiny@appliance"]


def test_hostile_folders_do_no_harm(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.gguf")
    (tmp_path / "nowhere.gguf").symlink_to(tmp_path / "gone")
    (tmp_path / "itself.gguf").symlink_to(tmp_path / "itself.gguf")
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    deep = tmp_path
    for _ in range(30):
        deep /= "deep"
        deep.mkdir()
    saved(deep / "bottom.gguf")
    saved(tmp_path / ".hidden" / "hidden.gguf")
    (tmp_path / os.fsdecode(b"caf\xe9.gguf")).write_bytes(good.read_bytes()[:100])
    found = shelf_of(("folder", tmp_path)).refresh()
    assert [entry.id for entry in found if entry.loads] == ["good"]
    assert len(found) == 1


def test_a_model_of_ollamas_is_what_its_layers_make_of_it(tmp_path: Path) -> None:
    """Models made of another one have its weights, and are others all the same."""
    digest = "a" * 64
    options = {"temperature": 0.2, "stop": ["<end>"], "num_ctx": 2048, "seed": 7, "mirostat": 1}
    ollama(tmp_path, "base", "latest", digest=digest)
    ollama(tmp_path, "base", "again", digest=digest)
    ollama(
        tmp_path,
        "tuned",
        "latest",
        digest=digest,
        params=json.dumps(options).encode(),
        system=b"You are a pirate.",
        template=b"{{ .Prompt }}",
    )
    ollama(tmp_path, "adapted", "latest", digest=digest, adapter=b"GGUF")
    entries = {entry.id: entry.defaults for entry in shelf_of(("ollama", tmp_path)).refresh()}
    assert len(entries) == 3
    assert entries["tuned:latest"].parameters == options
    assert entries["tuned:latest"].context_length == 2048
    assert entries["tuned:latest"].system == "You are a pirate."
    assert "template is not used" in entries["tuned:latest"].note
    assert "adapter is left out" in entries["adapted:latest"].note
    (plain,) = [it for id, it in entries.items() if id.startswith("base:")]
    assert (plain.parameters, plain.system, plain.note) == ({}, "", "")


@pytest.mark.parametrize(
    ("params", "system"),
    [
        (b"{", b"\xff"),
        (b"[1]", b"x" * ((1 << 20) + 1)),
        (None, None),
        (b'{"num_ctx": -1, "stop": 7}', b""),
    ],
)
def test_hostile_layers_leave_the_model_on_offer(
    params: bytes | None, system: bytes | None, tmp_path: Path
) -> None:
    ollama(tmp_path, "odd", "latest", params=params, system=system)
    (entry,) = shelf_of(("ollama", tmp_path)).refresh()
    assert entry.loads
    assert entry.defaults.context_length == 0
    assert len(entry.defaults.system) <= 1


def test_hostile_manifests_lead_nowhere(tmp_path: Path) -> None:
    good = ollama(tmp_path, "good", "latest")
    outside = saved(tmp_path.parent / f"{tmp_path.name}-outside.gguf")
    folder = tmp_path / "manifests" / "registry.ollama.ai" / "library" / "bad"
    folder.mkdir()
    kind = "application/vnd.ollama.image.model"
    digests = ["sha256:../../" + outside.name, "sha256:" + "0" * 64, "md5:abc", "", "sha256:"]
    contents = [json.dumps({"layers": [{"mediaType": kind, "digest": d}]}) for d in digests]
    contents += ["", "{", "[]", '{"layers": 3}', "[" * 5000, '{"layers": [{"digest": "x"}]}']
    contents += [json.dumps({"layers": [{"mediaType": kind, "digest": "sha256:" + "a" * 64}] * 2})]
    for number, content in enumerate(contents):
        (folder / f"tag{number}").write_text(content)
    (folder / "huge").write_bytes(b"[" * (2 << 20))
    assert [c.path for c in candidates(ModelSource("ollama", tmp_path))] == [good]


def test_a_folder_of_a_million_files_is_not_looked_through(tmp_path: Path) -> None:
    looked_at = 0

    class Endless:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def __iter__(self) -> Self:
            return self

        def __next__(self) -> object:
            nonlocal looked_at
            looked_at += 1
            return entry

    with os.scandir(saved(tmp_path / "a" / "x.gguf").parent) as entries:
        entry = next(entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("appliance.models.local.sources.os.scandir", lambda _: Endless())
        list(candidates(ModelSource("folder", tmp_path)))
    assert looked_at == MAX_ENTRIES


def test_changes_are_reported(tmp_path: Path) -> None:
    changes: list[tuple[list[str], list[str]]] = []
    shelf = shelf_of(("folder", tmp_path))
    shelf.on_change = lambda new, gone: changes.append((ids(new), ids(gone)))
    assert shelf.refresh() == ()
    file = saved(tmp_path / "one.gguf")
    shelf.refresh(at_once=True)
    shelf.refresh(at_once=True)
    saved(file, llama(n_layer=5))
    shelf.refresh(at_once=True)
    file.unlink()
    assert shelf.refresh(at_once=True) == ()
    assert changes == [(["one"], []), (["one"], ["one"]), ([], ["one"])]


def test_a_look_of_just_now_is_believed(tmp_path: Path) -> None:
    shelf = shelf_of(("folder", tmp_path))
    shelf.refresh(at_once=True)
    saved(tmp_path / "one.gguf")
    assert shelf.refresh() == ()


def test_many_at_once_see_the_same(tmp_path: Path) -> None:
    for number in range(20):
        saved(tmp_path / f"m{number:02}.gguf")
    shelf = shelf_of(("folder", tmp_path))
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(len(shelf.refresh()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [20] * 8


def test_headers_are_read_once(tmp_path: Path) -> None:
    file = saved(tmp_path / "models" / "one.gguf")
    reads: list[Path] = []

    def read(path: Path) -> ModelFacts:
        reads.append(path)
        return ModelFacts(size=1)

    for _ in range(3):
        memory = MetadataCache(tmp_path / "shelf.json", "key")
        assert memory.facts([file], read)
        memory.save()
    assert reads == [file]
    os.utime(file, (1, 1))
    memory = MetadataCache(tmp_path / "shelf.json", "key")
    memory.facts([file], read)
    memory.save()
    assert reads == [file] * 2
    MetadataCache(tmp_path / "shelf.json", "other settings").facts([file], read)
    assert reads == [file] * 3
    memory = MetadataCache(tmp_path / "shelf.json", "key")
    memory.save()
    assert str(file) not in (tmp_path / "shelf.json").read_text()
    for nonsense in (b"", b"{", b'{"version": 1}', b"\xff" * 10):
        (tmp_path / "shelf.json").write_bytes(nonsense)
        assert MetadataCache(tmp_path / "shelf.json", "key").facts([file], read)


@pytest.mark.parametrize(
    ("memory", "gpu", "verdict"),
    [
        (10, 0, "fits"),
        (9, 0, "partly"),
        (5, 0, "partly"),
        (4, 0, "too_big"),
        (10, 8, "fits"),
        (1, 8, "fits"),
        (3, 2, "partly"),
        (2, 2, "too_big"),
        (100, 2, "partly"),
    ],
)
def test_whether_a_model_fits(memory: int, gpu: int, verdict: str) -> None:
    assert fits(MemoryNeeds(whole=10, least=5, gpu=8), memory, gpu) == verdict
