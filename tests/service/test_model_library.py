"""The machine's description for the model library."""

from typing import Any

import pytest

from appliance.config.schema import Config
from appliance.service import build_info, model_library

GPU = {"kind": "gpu", "family": "vulkan", "total": 8_000_000_000}


@pytest.mark.parametrize(
    "first", [{"error": "timed out"}, {"devices": [], "unusable": {"gpus": "timed out"}}]
)
def test_a_gpu_that_could_not_be_asked_for_in_time_is_asked_for_again(
    first: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [first, first, {"devices": [GPU], "unusable": {}}]
    asked: list[dict[str, Any]] = []

    def probe() -> dict[str, Any]:
        asked.append(results[len(asked)])
        return asked[-1]

    monkeypatch.setattr(build_info, "probe", probe)
    machine = model_library.machine(Config())
    assert (machine.gpu(), machine.gpu(), len(asked)) == (0, 0, 1)
    monkeypatch.setattr(model_library, "PROBE_AGAIN_SECONDS", 0.0)
    assert (machine.gpu(), machine.gpu(), machine.gpu()) == (
        0,
        *[int(8e9 * model_library.SHARE)] * 2,
    )
    assert len(asked) == 3
