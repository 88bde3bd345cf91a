"""Vocabularies without weights: llama.cpp's own test files, and those of real models."""

import tarfile
from pathlib import Path

from appliance.config import paths
from appliance.worker.runners.llama_cpp.native import library
from appliance.worker.runners.llama_cpp.native.bindings import lib
from appliance.worker.runners.llama_cpp.runner import LlamaRunner
from tests.models.gemma import gemma_file
from tests.worker import llama_sources


class NoTemplate:
    """Nothing here is rendered."""


def vocabularies(folder: Path) -> dict[str, LlamaRunner]:
    """llama.cpp's own test vocabularies, the embedded model's and Gemma 3's; files go to
    `folder`."""
    library.start()
    files = {"smollm2": paths.embedded_model(), "gemma-3": gemma_file()}
    with tarfile.open(llama_sources.archive()) as archive:
        for member in archive:
            path = Path(member.name)
            if path.name.startswith("ggml-vocab-") and path.suffix == ".gguf":
                stream = archive.extractfile(member)
                assert stream
                name = path.stem.removeprefix("ggml-vocab-")
                files[name] = folder / path.name
                files[name].write_bytes(stream.read())
    return {name: vocabulary(file) for name, file in files.items()}


def vocabulary(file: Path) -> LlamaRunner:
    """Of a runner only what tokenizes."""
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(file).encode(), params)
    assert model, file.name
    runner = LlamaRunner.__new__(LlamaRunner)
    vocab = lib.llama_model_get_vocab(model)
    assert vocab
    runner._model, runner._vocab = model, vocab
    runner._pieces = {}
    runner.n_vocab = lib.llama_vocab_n_tokens(vocab)
    return runner
