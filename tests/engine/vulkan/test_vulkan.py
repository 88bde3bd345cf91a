"""A model on a Vulkan GPU: where it runs, what is reported, and what happens when the driver, the
memory or the device fails."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.engine.device_results import all_results, store_result
from appliance.system import llama_libraries
from appliance.tuning.devices.verify import compare
from tests.engine.conftest import load_of
from tests.engine.vulkan.conftest import FAULTY, FirstUse
from tests.engine.vulkan.gpu_requests import FOUR, PATIENCE, ask, doctor, model, status, words
from tests.models.architectures import bert, mamba
from tests.running import Running
from tests.tuning.faulty_variants import FAULTS, address
from tests.waiting import wait_until


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Makes appliances, and stops them."""
    made: list[Running] = []

    def make(*arguments: Any, **options: Any) -> Running:
        made.append(Running(*arguments, **options))
        return made[-1]

    yield make
    assert [appliance.stop() for appliance in made if appliance.url] == [0] * len(made)


@pytest.fixture
def is_faulty(known: Path, software: dict[str, str], run: Callable[..., Running]) -> Any:
    """Makes an appliance with a verified GPU whose driver then has a fault."""

    def make(faults: dict[str, Any], **environment: str) -> Running:
        settings = {"APPLIANCE_MODELS_DEFAULT_DEVICE": "vulkan", **environment}
        variables = {**software, "VK_FAULTS": json.dumps(faults), **settings}
        return run(known, command=FAULTY, **variables)

    return make


def test_at_first_it_is_compared_while_the_processor_answers_and_then_used(
    first_use: FirstUse,
) -> None:
    assert words(first_use.meanwhile) == FOUR
    assert first_use.meanwhile.headers["X-Appliance-Warning"] == (
        "Vulkan0 is being compared with the processor; the processor is used meanwhile"
    )
    (result,) = all_results(first_use.cache / "appliance" / "fidelity")
    assert result.subject.devices == ("Vulkan0",) and not result.fault
    # The emulated GPU computes in another way than the processor: results differ in the last bits.
    assert result.mean and result.tokens >= 16 and result.pace
    assert "Vulkan0 says what the processor says" in first_use.log


def test_one_that_is_slower_than_the_processor_is_for_who_asks_for_it(
    known: Path, software: dict[str, str], run: Callable[..., Running]
) -> None:
    folder = known / "cache" / "appliance" / "fidelity"
    (result,) = all_results(folder)
    store_result(structs.replace(result, pace=0.1, at=time.time()), folder)
    appliance = run(known, **software).start()
    assert (model(appliance)["device"], model(appliance)["warning"]) == ("cpu", None)
    (gpu,) = [one for one in status(appliance)["devices"] if one["name"] == "Vulkan0"]
    assert gpu["trust"] == "slow" and "slower than the processor" in gpu["detail"]
    assert "X-Appliance-Warning" not in ask(appliance, device="vulkan").headers
    assert model(appliance)["on"] == ["Vulkan0"]


def test_all_layers_run_there_and_its_memory_is_reported(on_gpu: Running) -> None:
    assert words(ask(on_gpu)) == FOUR
    found = status(on_gpu)
    (on_it, *_), devices = found["models"], {one["name"]: one for one in found["devices"]}
    assert (on_it["device"], on_it["on"], on_it["warning"]) == ("vulkan", ["Vulkan0"], None)
    assert on_it["devices"] == ["cpu", "vulkan"]
    assert devices["Vulkan0"]["total"] >= devices["Vulkan0"]["free"] > 0
    assert (devices["Vulkan0"]["family"], devices["Vulkan0"]["trust"]) == ("vulkan", "trusted")
    assert "llvmpipe" in devices["Vulkan0"]["description"]
    assert "Mesa" in devices["Vulkan0"]["driver"]
    assert "device Vulkan0: llvmpipe" in doctor(on_gpu)


def test_a_request_moves_it_to_the_processor_and_back_by_name(on_gpu: Running) -> None:
    assert words(ask(on_gpu, device="cpu")) == FOUR
    assert model(on_gpu)["device"] == "cpu"
    response = ask(on_gpu, device="VULKAN0")
    assert words(response) == FOUR and "X-Appliance-Warning" not in response.headers
    assert model(on_gpu)["on"] == ["Vulkan0"]


def test_half_of_its_layers_run_there(
    run: Callable[..., Running], known: Path, software: dict[str, str]
) -> None:
    half = {"APPLIANCE_ENGINE_N_GPU_LAYERS": "15", "APPLIANCE_MODELS_DEFAULT_DEVICE": "vulkan0"}
    appliance = run(known, **software, **half).start()
    assert words(ask(appliance)) == FOUR
    assert model(appliance)["on"] == ["Vulkan0"]


def test_what_had_begun_on_a_device_that_is_lost_goes_on_without_it(
    is_faulty: Any, tmp_path: Path
) -> None:
    flag = tmp_path / "lost"
    appliance = is_faulty(
        {"lost": str(flag)}, APPLIANCE_ENGINE_N_SEQ_MAX="1", APPLIANCE_ENGINE_MAX_WAITING="4"
    ).start()
    waiting: list[httpx.Response] = []
    body = {"prompt": "One, two, three,", "max_tokens": 60, "stream": True, "ignore_eos": True}
    with httpx.stream(
        "POST", f"{appliance.url}/v1/completions", json=body, timeout=PATIENCE
    ) as reply:
        lines = reply.iter_lines()
        assert next(lines).startswith("data: {")
        other = threading.Thread(target=lambda: waiting.append(ask(appliance)))
        other.start()
        wait_until(
            lambda: status(appliance)["figures"]["requests_waiting"] == 1, "the other never came"
        )
        flag.touch()
        rest = "\n".join(lines)
    assert "error" not in rest
    assert "[DONE]" in rest
    assert '"finish_reason":"length"' in rest
    other.join(PATIENCE)
    (response,) = waiting
    assert words(response) == FOUR
    warning = response.headers["X-Appliance-Warning"]
    assert "Vulkan0 is not used: the worker on it died" in warning
    assert warning.endswith("the processor is used instead")
    found = status(appliance)
    assert found["models"][0]["warning"] == warning
    (gpu,) = [one for one in found["devices"] if one["name"] == "Vulkan0"]
    assert gpu["trust"] == "failed" and "died" in gpu["detail"]
    # Until a request names it: it may be back.
    flag.unlink()
    assert "X-Appliance-Warning" not in ask(appliance, device="vulkan0").headers
    assert model(appliance)["on"] == ["Vulkan0"]


def test_where_memory_runs_out_at_load_fewer_layers_are_put_there(is_faulty: Any) -> None:
    # Room for the weights and some of the rest; the driver does not report this in advance.
    appliance = is_faulty({"memory": 150_000_000}).start()
    response = ask(appliance)
    assert words(response) == FOUR
    assert "layers could be loaded on Vulkan0" in response.headers["X-Appliance-Warning"]
    assert model(appliance)["on"] == ["Vulkan0"]


def test_where_there_is_no_memory_at_all_the_processor_is_used(is_faulty: Any) -> None:
    appliance = is_faulty({"memory": 1_000_000}).start()
    response = ask(appliance)
    assert words(response) == FOUR
    assert "the processor is used instead" in response.headers["X-Appliance-Warning"]
    assert model(appliance)["device"] == "cpu"


def test_a_driver_that_computes_wrong_is_never_used_and_is_reported(
    run: Callable[..., Running], software: dict[str, str], tmp_path: Path
) -> None:
    variables = {**software, "VK_FAULTS": '{"wrong": true}'}
    appliance = run(tmp_path, command=FAULTY, **variables).start()
    # The processor answers during the comparison.
    assert words(ask(appliance)) == FOUR
    wait_until(lambda: model(appliance)["warning"], "it was not found out", PATIENCE)
    found = status(appliance)
    (gpu,) = [one for one in found["devices"] if one["name"] == "Vulkan0"]
    why = gpu["detail"]
    assert gpu["trust"] == "wrong" and re.search("no number|something else than the processor", why)
    (on_it,) = found["models"]
    assert (on_it["device"], on_it["on"]) == ("cpu", [])
    assert on_it["warning"] == f"{why}; the processor is used instead"
    assert on_it["warning"] in appliance.log.read_text()
    assert why.partition(" is not used")[0] + " is not used for SmolLM2" in doctor(appliance)
    response = ask(appliance, device="vulkan")
    assert words(response) == FOUR and why in response.headers["X-Appliance-Warning"]
    assert appliance.stop() == 0
    # The next start has the result, and compares nothing.
    appliance.start()
    assert model(appliance)["warning"] == on_it["warning"]


def test_a_gpu_that_cannot_be_compared_is_given_up_until_the_next_start(
    run: Callable[..., Running], software: dict[str, str], tmp_path: Path
) -> None:
    flag = tmp_path / "lost"
    flag.touch()
    variables = {**software, "VK_FAULTS": json.dumps({"lost": str(flag)})}
    appliance = run(tmp_path, command=FAULTY, **variables).start()
    wait_until(lambda: model(appliance)["warning"], "it was not found out", PATIENCE)
    assert model(appliance)["warning"].startswith("Vulkan0 is not used: it died (signal 6)")
    assert "ErrorDeviceLost" in model(appliance)["warning"]
    assert words(ask(appliance)) == FOUR
    assert appliance.log.read_text().count("comparing Vulkan0 with the processor") == 1
    assert appliance.stop() == 0
    assert not (tmp_path / "cache" / "appliance" / "fidelity").exists()


@pytest.mark.parametrize("make", [bert, mamba])
def test_models_that_write_nothing_or_have_no_cache_are_compared_as_well(
    make: Callable[[], Any], software: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(make().encoded(seed=3))
    outcome = compare(
        load_of(str(file), fidelity_folder=str(tmp_path / "fidelity")),
        ("Vulkan0",),
        command=paths.fidelity_command(),
        environment=worker_environment({**os.environ, **software}),
    )
    assert outcome.result and outcome.result.mean is not None, outcome
    assert outcome.result.fault == ""


def test_a_driver_that_dies_when_it_is_looked_at_leaves_the_processor(
    run: Callable[..., Running], software: dict[str, str], tmp_path: Path
) -> None:
    manifest = json.loads(Path(software["VK_DRIVER_FILES"]).read_bytes())
    driver = Path(manifest["ICD"]["library_path"])
    code = bytearray(driver.read_bytes())
    start = address(driver, "vk_icdNegotiateLoaderICDInterfaceVersion")
    trap = FAULTS["traps"].code
    code[start : start + len(trap)] = trap
    (tmp_path / driver.name).write_bytes(code)
    manifest["ICD"]["library_path"] = str(tmp_path / driver.name)
    (tmp_path / "icd.json").write_text(json.dumps(manifest))
    variables = {**software, "VK_DRIVER_FILES": str(tmp_path / "icd.json")}
    appliance = run(tmp_path, **variables).start(ready=False)
    response = ask(appliance)
    assert words(response) == FOUR
    assert (
        "GPUs are not used: a worker died that looked for them: SIGILL"
        in (response.headers["X-Appliance-Warning"])
    )
    assert "device GPU none: looking for one ends the process" in doctor(appliance)


def test_without_the_loader_the_processor_is_used(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    planted = tmp_path / "libraries"
    planted.mkdir()
    for name, file in llama_libraries.found().items():
        if name == "ggml-vulkan":
            content = file.read_bytes()
            assert content.count(b"libvulkan.so.1\0") == 1
            content = content.replace(b"libvulkan.so.1\0", b"libvulkan.so.0\0")
            (planted / file.name).write_bytes(content)
        else:
            (planted / file.name).symlink_to(file)
    appliance = run(tmp_path, LLAMA_CPP_LIB_PATH=str(planted)).start()
    response = ask(appliance, device="vulkan")
    assert words(response) == FOUR
    assert "vulkan is not available" in response.headers["X-Appliance-Warning"]
    unusable = json.loads(appliance.command("doctor", "--json").stdout)["llama.cpp"]["unusable"]
    assert "libvulkan.so.0" in unusable["vulkan"]
    # Most machines are like this: no warning.
    assert "libvulkan" not in appliance.log.read_text()


def test_without_rights_to_the_driver_the_processor_is_used(
    run: Callable[..., Running], software: dict[str, str], tmp_path: Path
) -> None:
    closed = tmp_path / "closed.json"
    closed.write_bytes(Path(software["VK_DRIVER_FILES"]).read_bytes())
    closed.chmod(0o000)
    # Root reads everything, unless that right is taken from it.
    less = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") * (os.geteuid() == 0)
    appliance = run(
        tmp_path,
        command=(*less, sys.executable, "-m", "appliance"),
        **{**software, "VK_DRIVER_FILES": str(closed)},
    ).start()
    response = ask(appliance, device="vulkan")
    assert words(response) == FOUR
    assert "vulkan is not available" in response.headers["X-Appliance-Warning"]
    assert "device GPU none" in doctor(appliance)
