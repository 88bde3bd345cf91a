"""Models whose training context does not fit into memory get the longest that fits."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from appliance.config.context import ContextSettings
from appliance.config.schema import AvailableModel, Config, EngineSettings
from appliance.engine.local.engine import LocalEngine
from appliance.models.gguf.header import read_header
from appliance.models.memory.estimate import LEAST_CONTEXT, context_that_fits, estimate
from appliance.service import model_specs
from appliance.system.memory import Memory
from appliance.tuning import settings
from tests.models.gguf_writer import llama
from tests.tuning import fake_tuner

LONG = llama(n_layer=4, n_embd=512, n_head=8, n_head_kv=8, n_ff=1024, n_ctx=131_072)
SETTINGS = ContextSettings(n_ctx=0, n_seq_max=4, kv_unified=True, n_batch=512, n_ubatch=512)


def test_a_half_or_a_quarter_is_taken_until_it_fits(tmp_path: Path) -> None:
    header = read_header(LONG.save(tmp_path / "long.gguf"))

    def need(n_ctx: int) -> int:
        return estimate(header, replace(SETTINGS, n_ctx=n_ctx)).cpu.total

    for n_ctx in (131_072, 65_536, 32_768, 8192):
        assert context_that_fits(header, need(n_ctx), SETTINGS) == n_ctx
        assert context_that_fits(header, need(n_ctx) - 1, SETTINGS) == n_ctx // 2
    assert context_that_fits(header, 0, SETTINGS) == LEAST_CONTEXT


def test_a_short_context_is_left_as_it_is(tmp_path: Path) -> None:
    header = read_header(llama(n_ctx=512).save(tmp_path / "short.gguf"))
    assert context_that_fits(header, 0, SETTINGS) == 512


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
    # Half of it is slightly more than 65,536 tokens need.
    header = read_header(file)
    need = estimate(header, replace(SETTINGS, n_ctx=65_536)).cpu.total
    monkeypatch.setattr(model_specs, "memory", lambda: Memory(2 * need + 2, 2 * need + 2))
    config = Config(engine=EngineSettings(**engine))  # type: ignore[arg-type]
    given = AvailableModel(id="long", path=str(file), **model)  # type: ignore[arg-type]
    made = model_specs.spec(config, given).make()
    assert isinstance(made, LocalEngine)
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
        estimate(header, replace(SETTINGS, n_ctx=2048, kv_unified=unified)).cpu.total
        for unified in (True, False)
    )
    monkeypatch.setattr(model_specs, "memory", lambda: Memory(10**12, free * (own - shared)))
    config = Config(engine=EngineSettings(n_ctx=2048, **engine))  # type: ignore[arg-type]
    made = model_specs.spec(config, AvailableModel(id="long", path=str(file))).make()
    assert isinstance(made, LocalEngine)
    assert made._load.cpu_apart is apart


# -- the estimate takes every context setting into account -----------------------------------------

USUAL: dict[str, Any] = {"n_ctx": 4096, "n_batch": 256, "n_ubatch": 256}
OTHER: dict[str, dict[str, object]] = {
    "n_ctx": {"n_ctx": 8192},
    "n_batch": {"n_batch": 128, "n_ubatch": 128},
    "n_ubatch": {"n_ubatch": 64},
    "n_seq_max": {"n_seq_max": 16},
    "kv_unified": {"kv_unified": "off"},
    "flash_attn": {"flash_attn": "off"},
    "type_k": {"type_k": "q8_0"},
    "type_v": {"type_v": "q4_0"},
}


def test_no_setting_of_a_context_is_forgotten_here() -> None:
    assert {*OTHER, "swa_full"} == {*ContextSettings.__struct_fields__}


@pytest.mark.parametrize("field", OTHER)
def test_every_setting_of_a_context_is_loaded_with_and_counts(field: str, tmp_path: Path) -> None:
    file = LONG.save(tmp_path / "long.gguf")
    model = AvailableModel(id="long", path=str(file))
    usual, other = (
        Config(engine=EngineSettings(**(USUAL | changes))) for changes in ({}, OTHER[field])
    )
    before, after = (model_specs.spec(config, model) for config in (usual, other))
    made = before.make(), after.make()
    assert isinstance(made[0], LocalEngine) and isinstance(made[1], LocalEngine)
    assert getattr(made[0]._load, field) != getattr(made[1]._load, field)
    assert before.need() != after.need()
    header = read_header(file)
    assert model_specs.memory_needs(usual, header) != model_specs.memory_needs(other, header)


def test_what_tuning_changes_of_the_cache_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = LONG.save(tmp_path / "long.gguf")
    config = Config(engine=EngineSettings(n_ctx=8192))
    spec = model_specs.spec(config, AvailableModel(id="long", path=str(file)))
    shipped = spec.need()
    setting = replace(fake_tuner.USUAL, type_k="q8_0", type_v="q8_0")
    command = fake_tuner.printing(fake_tuner.SHIPPED, fake_tuner.best(setting=setting))
    fake_tuner.tuned(file, settings.folder(), command, variant=model_specs.variant(config, file))
    made = spec.make()
    assert isinstance(made, LocalEngine) and made._load.tuned
    assert spec.need() == estimate(read_header(file), made._load.on_processor()).cpu.total
    values = 8192 * 4 * 2 * 512
    assert shipped - spec.need() == values * 2 - values // 32 * 34
