"""Models are trained with longer contexts than memory holds: the longest that fits is taken."""

from pathlib import Path

import pytest

from appliance import offer
from appliance.config import AvailableModel, Config, Engine
from appliance.engine.client import Engine as Worker
from appliance.models.fit import LEAST_CONTEXT, context_that_fits, estimate
from appliance.models.gguf import read_header
from appliance.models.memory import Memory
from tests.models.gguf_writer import llama

LONG = llama(n_layer=4, n_embd=512, n_head=8, n_head_kv=8, n_ff=1024, n_ctx=131_072)
PARAMETERS = {"n_seq_max": 4, "kv_unified": True, "n_batch": 512, "n_ubatch": 512}


def test_a_half_or_a_quarter_is_taken_until_it_fits(tmp_path: Path) -> None:
    header = read_header(LONG.save(tmp_path / "long.gguf"))

    def need(n_ctx: int) -> int:
        return estimate(header, n_ctx=n_ctx, **PARAMETERS).cpu.total  # type: ignore[arg-type]

    for n_ctx in (131_072, 65_536, 32_768, 8192):
        assert context_that_fits(header, need(n_ctx), **PARAMETERS) == n_ctx
        assert context_that_fits(header, need(n_ctx) - 1, **PARAMETERS) == n_ctx // 2
    assert context_that_fits(header, 0, **PARAMETERS) == LEAST_CONTEXT


def test_a_short_context_is_left_as_it_is(tmp_path: Path) -> None:
    header = read_header(llama(n_ctx=512).save(tmp_path / "short.gguf"))
    assert context_that_fits(header, 0, **PARAMETERS) == 512


@pytest.mark.parametrize(
    ("model", "engine", "n_ctx"),
    [
        ({}, {}, 65_536),
        ({"context_length": 100_000}, {}, 100_000),
        ({}, {"n_ctx": 90_000}, 90_000),
        ({"context_length": 1024}, {"n_ctx": 90_000}, 1024),
    ],
)
def test_what_is_configured_is_kept(
    model: dict[str, int],
    engine: dict[str, int],
    n_ctx: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = LONG.save(tmp_path / "long.gguf")
    # A half of it is a little more than 65,536 tokens take.
    header = read_header(file)
    need = estimate(header, n_ctx=65_536, **PARAMETERS).cpu.total  # type: ignore[arg-type]
    monkeypatch.setattr(offer, "memory", lambda: Memory(2 * need + 2, 2 * need + 2))
    config = Config(engine=Engine(**engine))  # type: ignore[arg-type]
    given = AvailableModel(id="long", path=str(file), **model)  # type: ignore[arg-type]
    made = offer.spec(config, given).make()
    assert isinstance(made, Worker)
    assert made._load.n_ctx == n_ctx


@pytest.mark.parametrize(
    ("free", "engine", "apart"),
    [
        (8, {}, True),
        (7, {}, False),
        (8, {"n_seq_max": 1}, False),
        (99, {"kv_unified": "on"}, False),
    ],
)
def test_slots_have_cells_of_their_own_where_that_takes_an_eighth_of_what_is_free(
    free: int,
    engine: dict[str, object],
    apart: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = LONG.save(tmp_path / "long.gguf")
    header = read_header(file)
    shared, own = (
        estimate(header, n_ctx=2048, **(PARAMETERS | {"kv_unified": unified})).cpu.total  # type: ignore[arg-type]
        for unified in (True, False)
    )
    monkeypatch.setattr(offer, "memory", lambda: Memory(10**12, free * (own - shared)))
    config = Config(engine=Engine(n_ctx=2048, **engine))  # type: ignore[arg-type]
    made = offer.spec(config, AvailableModel(id="long", path=str(file))).make()
    assert isinstance(made, Worker)
    assert made._load.cpu_apart is apart
