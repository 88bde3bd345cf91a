"""Nothing is read twice, whatever the model keeps of what it read: of what could be saved at least
19 of 20 tokens are, after a restart too, and the reply is the one of a fresh computation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Logprobs
from appliance.engine.types import TokenPrompt
from tests.engine.engine_client import CollectedReply
from tests.models.architectures import gemma3, granitehybrid, mamba
from tests.models.gguf_writer import Gguf, llama
from tests.worker.runners.test_states import GREEDY, Reply, read, same, tokens, worker

MODELS: dict[str, Callable[[], Gguf]] = {
    "plain": lambda: llama(n_ctx=1024),
    "window": lambda: gemma3(window=64, n_layer=6, n_ctx=1024),
    "recurrent": mamba,
    "hybrid": lambda: granitehybrid([2, 0, 2, 0]),
}
SHARE = 0.95
READ, REPLY = 400, 100
"""Tokens of what was read first, and of its reply: more than windows have cells for."""
SHORT = {"n_ctx": 1024, "n_batch": 64, "n_ubatch": 64}


@dataclass(frozen=True)
class Cell:
    """What is asked after `READ` tokens were read and replied to."""

    first: list[int]
    then: list[int]
    saved: int
    """Tokens that need not be read again."""

    @property
    def session(self) -> str:
        """Each is a chat of its own."""
        return f"chat {self.first[:8]}"


def _cells() -> dict[str, Cell]:
    again, edited, more, document = (tokens(seed, READ) for seed in range(4))
    return {
        "the same again": Cell(again, again, READ - 1),
        "edited at 300": Cell(edited, edited[:300] + tokens(5, 100), 300),
        "20 more": Cell(more, more + tokens(6, 20), READ),
        "another question": Cell(document, document[:370] + tokens(7, 30), 370),
    }


CELLS = _cells()


def ask(engine: LocalEngine, prompt: list[int], session: str, count: int = 8) -> Reply:
    greedy = replace(GREEDY, max_tokens=count, ignore_eos=count > 8)
    return read(CollectedReply(engine, TokenPrompt(prompt), greedy, session=session))


class Model:
    """A file, and what fresh computations of it give."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.file = folder / f"{kind}.gguf"
        self.file.write_bytes(MODELS[kind]().encoded(seed=9))
        self.wanted: dict[str, list[Logprobs]] = {}
        with worker(self.file, n_seq_max=1, **SHORT) as fresh:
            for name, cell in CELLS.items():
                self.wanted[name], end = ask(fresh, cell.then, name)
                assert end.cached_tokens == 0

    @contextmanager
    def kept(self, folder: Path, unified: bool) -> Iterator[LocalEngine]:
        room = {"kv_folder": str(folder), "kv_disk_bytes": 1 << 28, "kv_memory_bytes": 1 << 26}
        with worker(self.file, kv_unified=unified, **SHORT, **room) as engine:
            yield engine

    def check(self, engine: LocalEngine, origin: set[str]) -> dict[str, float]:
        """The share that was saved, of each cell."""
        shares = {}
        for name, cell in CELLS.items():
            said, end = ask(engine, cell.then, cell.session)
            assert same(said, self.wanted[name]), (name, end)
            assert end.cached_tokens <= cell.saved
            assert end.cached_from in origin or not end.cached_tokens, (name, end)
            shares[name] = round(end.cached_tokens / cell.saved, 3)
        return shares


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(request.param, tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("unified", [True, False], ids=["unified", "partitioned"])
def test_of_what_could_be_saved_hardly_any_is_read_again(
    model: Model, unified: bool, tmp_path: Path
) -> None:
    with model.kept(tmp_path, unified) as engine:
        for cell in CELLS.values():
            ask(engine, cell.first, cell.session, REPLY)
        shares = model.check(engine, {"slot", "shared", "memory"})
    print(model.kind, shares)
    assert min(shares.values()) >= SHARE, shares


@pytest.mark.parametrize("unified", [True, False], ids=["unified", "partitioned"])
def test_nor_after_a_restart(model: Model, unified: bool, tmp_path: Path) -> None:
    with model.kept(tmp_path, unified) as engine:
        for cell in CELLS.values():
            ask(engine, cell.first, cell.session, REPLY)
    with model.kept(tmp_path, unified) as engine:
        shares = model.check(engine, {"disk"})
    print(model.kind, shares)
    assert min(shares.values()) >= SHARE, shares
