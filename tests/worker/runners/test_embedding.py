"""Embeddings by llama.cpp: the same vectors as from its own server, however inputs are batched."""

import math
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.base import Engine
from appliance.engine.local.engine import LocalEngine
from appliance.system import llama_libraries
from tests.engine.conftest import load_of
from tests.engine.upstream import llama_server
from tests.engine.upstream.fake_upstream import upstream_engine
from tests.models.architectures import bert, mamba
from tests.worker.scheduler.test_embedding import Vectors

TEXTS = [
    "the cat sat on the mat",
    "x",
    "a longer text, of several sentences. it goes on for a while, and then more! does it end?",
    "the cat sat on the mat",
]


CPUINFO = Path("/proc/cpuinfo")
RUNS = (
    CPUINFO.exists() and " avx2 " in CPUINFO.read_text() and "haswell" in llama_libraries.variants()
)
HASWELL = [("haswell", 1e-4)] if RUNS else []
"""A variant, if it is installed and runs, and the permitted part of the distance."""


@contextmanager
def engine_of(file: Path, **changes: object) -> Iterator[LocalEngine]:
    engine = LocalEngine(
        "real",
        load_of(str(file), **changes),
        command=paths.worker_command(),
        environment=worker_environment(),
        max_waiting=8,
    )
    engine.start()
    assert engine.wait_ready(600), engine.state
    yield engine
    engine.close()


def vectors(engine: Engine, *inputs: str | list[int]) -> list[list[float]]:
    return [list(array("f", vector)) for vector in Vectors(engine, *inputs).embedded.vectors]


@contextmanager
def server_of(file: Path, pooling: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, llama_server.__file__, str(file), "256", "1", str(pooling)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


def distance(a: list[float], b: list[float]) -> float:
    return math.dist(a, b)


def of_the_server(file: Path, pooling: int) -> list[list[float]]:
    with server_of(file, pooling) as url:
        response = httpx.post(url + "/v1/embeddings", json={"input": TEXTS}, timeout=120)
    return [entry["embedding"] for entry in response.json()["data"]]


def same(found: list[list[float]], wanted: list[list[float]], *, part: float) -> None:
    """The difference from the server's vectors is less than that part of the distance between two
    texts: vectors of small random models are similar, so only relative distances matter."""
    apart = distance(wanted[0], wanted[1])
    for ours, theirs in zip(found, wanted, strict=True):
        assert distance(ours, theirs) < apart * part
        assert distance(ours, [0.0] * len(ours)) == pytest.approx(1, abs=1e-5)
    assert distance(found[0], found[3]) < apart * part


@pytest.mark.parametrize("pooling", [1, 2, 3])
def test_a_model_that_only_embeds_is_pooled_as_its_file_says(tmp_path: Path, pooling: int) -> None:
    file = tmp_path / "bert.gguf"
    file.write_bytes(bert(pooling=pooling).encoded(seed=3))
    with engine_of(file) as engine:
        same(vectors(engine, *TEXTS), of_the_server(file, -1), part=1 / 10)


def test_a_model_that_writes_text_is_pooled_by_the_mean() -> None:
    """Each variant rounds activations to eight bits differently, which moves a vector by some
    hundredths: a text is still ten times closer to itself than to another. The server's own code,
    for AVX2, is the variant `haswell`: its vectors must be the same."""
    file = paths.embedded_model()
    wanted = of_the_server(file, 1)
    for variant, part in (("", 1 / 10), *HASWELL):
        with engine_of(file, variant=variant) as engine:
            same(vectors(engine, *TEXTS), wanted, part=part)


def test_those_of_an_upstream_are_passed_on_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "bert.gguf"
    file.write_bytes(bert(pooling=1).encoded(seed=3))
    with server_of(file, -1) as url:
        response = httpx.post(url + "/v1/embeddings", json={"input": TEXTS}, timeout=120)
        far = upstream_engine(f"{url}/v1", model="smollm2", parallel=1, max_waiting=4)
        far.start()
        found = vectors(far, *TEXTS)
        far.close()
    wanted = [entry["embedding"] for entry in response.json()["data"]]
    assert found == [pytest.approx(one, abs=1e-6) for one in wanted]


def test_without_a_pooling_type_in_the_file_it_is_the_mean(tmp_path: Path) -> None:
    found = []
    for pooling in (0, 1):
        file = tmp_path / f"{pooling}.gguf"
        file.write_bytes(bert(pooling=pooling).encoded(seed=3))
        with engine_of(file) as engine:
            found.append(vectors(engine, *TEXTS))
    for none, mean in zip(*found, strict=True):
        assert distance(none, mean) < 1e-4


def test_a_reranker_gives_no_embeddings_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "rank.gguf"
    file.write_bytes(bert(pooling=4).encoded(seed=3))
    with engine_of(file) as engine:
        failed = Vectors(engine, "x").failed
    assert (failed.code, failed.param) == ("invalid_request", "model")


def test_a_model_with_a_state_instead_of_cells(tmp_path: Path) -> None:
    """Long inputs are split into chunks, and there are more inputs than slots."""
    file = tmp_path / "mamba.gguf"
    file.write_bytes(mamba().encoded(seed=3))
    texts = [f"word{i} " * (i * 11 % 25 + 1) for i in range(20)]
    with engine_of(file, n_ctx=256) as engine:
        together = vectors(engine, *texts)
        for text, vector in list(zip(texts, together, strict=True))[::6]:
            assert distance(vectors(engine, text)[0], vector) < 1e-3


def test_inputs_as_long_as_the_context(tmp_path: Path) -> None:
    file = tmp_path / "bert.gguf"
    file.write_bytes(bert(n_ctx=128).encoded(seed=3))
    with engine_of(file, n_ctx=0) as engine:
        assert len(vectors(engine, [5] * 128, [6] * 128)) == 2
        failed = Vectors(engine, [5] * 129).failed
    assert failed.code == "context_length_exceeded"
