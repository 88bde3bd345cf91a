"""A variant of llama.cpp that computes wrong results is detected before it is used.

The variants are real: copies of the installed libraries, in which the first bytes of two functions
of the best variant are overwritten.
"""

import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.service import variants as proven_variants
from appliance.system import llama_libraries
from appliance.tuning.process.variants import BOUND, _distance
from appliance.tuning.variants import results, verify
from appliance.tuning.variants.protocol import Need, VariantVerdict
from appliance.tuning.variants.verify import choose, prove
from tests.tuning.faulty_variants import FAULTS, best_variant, plant

NEED = Need(types={"Q4_1": 3, "F32": 0}, head_size=64)
"""Of the embedded model."""


PATIENT = """
from appliance.tuning.process import variants
variants.WALL_SECONDS = 600.0
variants.ROUNDS *= {timed:d}
raise SystemExit(variants.main())
"""
"""The process that tries them, on a machine that may be busy."""


def proven(
    folder: Path,
    need: Need = NEED,
    only: tuple[str, ...] = (),
    *,
    fork: bool = True,
    timed: bool = True,
) -> dict[str, VariantVerdict]:
    environment = worker_environment() | {llama_libraries.FOLDER_VARIABLE: str(folder)}
    command = [sys.executable, "-c", PATIENT.format(timed=timed), "proof"]
    with mock.patch.object(verify, "PROCESS_SECONDS", 900.0):
        verdicts = prove(need, command=command, environment=environment, only=only, fork=fork)
    return {verdict.variant: verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def as_installed() -> dict[str, VariantVerdict]:
    return proven(llama_libraries.folder())


def test_what_is_installed_computes_right(as_installed: dict[str, VariantVerdict]) -> None:
    assert as_installed
    assert {v.variant: v.detail for v in as_installed.values() if v.outcome != "right"} == {}


def test_only_what_the_processor_can_run_is_tried(as_installed: dict[str, VariantVerdict]) -> None:
    assert as_installed.keys() <= llama_libraries.variants().keys()
    assert all(verdict.score > 0 for verdict in as_installed.values())


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_variant_with_a_fault_is_out_and_the_next_one_is_taken(
    fault: str, fork: bool, tmp_path: Path, as_installed: dict[str, VariantVerdict]
) -> None:
    best = best_variant(as_installed.values())
    plant(tmp_path, best, fault)
    few = () if fork else (*sorted(as_installed.keys() - {best})[:2], best)

    found = proven(tmp_path, only=few, fork=fork)

    assert found[best].outcome == FAULTS[fault].outcome
    assert found[best].detail
    others = [v for name, v in found.items() if name != best]
    assert {v.outcome for v in others} == {"right"}
    chosen = choose(list(found.values()))
    assert chosen is not None
    assert chosen.variant != best


NEEDS = {
    "k-quants": {"Q4_K": 12, "Q6_K": 14, "F32": 0},
    "old": {"Q4_0": 2, "Q5_1": 7, "Q8_0": 8},
    "floats": {"F16": 1, "BF16": 30},
    "i-quants": {"IQ4_NL": 20, "IQ4_XS": 23, "IQ3_S": 21},
    "new": {"MXFP4": 39, "TQ2_0": 35},
}


HEAD_SIZES = {"k-quants": 80, "old": 256, "floats": 80, "i-quants": 256, "new": 80}


@pytest.mark.parametrize(
    ("name", "head_size"),
    [
        *HEAD_SIZES.items(),
        *(
            pytest.param(name, 336 - size, marks=pytest.mark.soak)
            for name, size in HEAD_SIZES.items()
        ),
    ],
)
def test_every_type_of_weights_computes_right(name: str, head_size: int) -> None:
    need = Need(types=NEEDS[name], head_size=head_size, experts=head_size == 256, type_k="q8_0")
    found = proven(llama_libraries.folder(), need, timed=False)
    assert found
    assert {v.variant: v.detail for v in found.values() if v.outcome != "right"} == {}


def verdict(name: str, score: int, seconds: float, **more: object) -> VariantVerdict:
    given = {"outcome": "right", "prefill": seconds, "decode": seconds, **more}
    return VariantVerdict(variant=name, score=score, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "without", "wanted"),
    [
        ([verdict("x64", 1, 8.0), verdict("avx2", 64, 2.0), verdict("amx", 512, 4.0)], (), "avx2"),
        ([verdict("avx2", 64, 2.0), verdict("avx512", 512, 2.1)], (), "avx512"),
        ([verdict("avx2", 64, 2.0), verdict("amx", 512, 1.0, outcome="wrong")], (), "avx2"),
        ([verdict("x64", 1, 8.0), verdict("avx2", 64, 2.0)], ("avx2",), "x64"),
        ([verdict("x64", 1, 8.0)], ("x64",), "x64"),
        ([verdict("x64", 1, 0.0), verdict("avx2", 64, 0.0)], (), "avx2"),
        ([verdict("x64", 1, 8.0, outcome="died")], (), None),
        ([], (), None),
    ],
    ids=["fastest", "as fast", "right", "suspected", "last", "not timed", "none right", "none"],
)
def test_the_fastest_of_those_that_are_right_is_taken(
    verdicts: list[VariantVerdict], without: tuple[str, ...], wanted: str | None
) -> None:
    chosen = choose(verdicts, frozenset(without))
    assert (chosen.variant if chosen else None) == wanted


def test_what_came_of_it_is_kept_for_this_machine_and_these_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = [verdict("x64", 1, 8.0)]
    results.keep(tmp_path, NEED, verdicts)
    assert results.kept(tmp_path) == {NEED.key: verdicts}
    monkeypatch.setattr("appliance.system.llama_libraries.digest", lambda: "other")
    assert results.kept(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '{"a": [{"variant": 1}]}', "\0" * 100])
def test_a_damaged_file_means_that_nothing_is_known(text: str, tmp_path: Path) -> None:
    results.keep(tmp_path, NEED, [verdict("x64", 1, 8.0)])
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert results.kept(tmp_path) == {}


def test_a_disk_without_room_loses_nothing_but_the_memory_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    results.keep(blocked, NEED, [verdict("x64", 1, 8.0)])
    assert "cannot be kept" in caplog.text


def test_a_process_that_cannot_try_anything_says_why(caplog: pytest.LogCaptureFixture) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
    assert prove(NEED, command=command, environment={}) == []
    assert "no such thing" in caplog.text


def test_where_nothing_can_be_tried_the_plainest_variant_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never the one that llama.cpp prefers: it may be the faulty one."""
    monkeypatch.setattr(proven_variants, "folder", lambda: tmp_path)
    monkeypatch.setattr(paths, "proof_command", lambda: [sys.executable, "-c", "exit(1)"])
    assert proven_variants.variant(NEED) == llama_libraries.plainest()
    assert llama_libraries.plainest() in llama_libraries.variants()


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, 3e38, -3e38])
def test_garbage_of_any_size_is_detected(rubbish: float) -> None:
    right = np.ones((2, 4), np.float32)
    wrong = right.copy()
    wrong[1] = rubbish
    assert _distance(right, wrong) > BOUND
    assert not np.isnan(_distance(right, wrong))
