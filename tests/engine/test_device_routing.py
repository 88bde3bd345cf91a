"""Requests for a device: the model moves there, or a warning says why not."""

from collections.abc import Callable, Iterator

import pytest

from appliance.engine.base import ModelSpec
from appliance.engine.device_routing import DeviceRouting, merge_statuses
from appliance.engine.protocol import (
    PROCESSOR,
    Accepted,
    AssessedDevice,
    Device,
    Finished,
    ModelInfo,
    SequenceEvent,
    Trust,
)
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import GenerationRequest, SamplingParams, TextPrompt
from tests.engine.conftest import fake_engine
from tests.engine.test_faults import until

SHORT = SamplingParams(max_tokens=3)


class Reply:
    """The events of one request to a model."""

    def __init__(
        self, model: ServedModel, device: str | None, sampling: SamplingParams = SHORT
    ) -> None:
        self.events: list[SequenceEvent] = []
        words = "the same words for all, so that there is something to save"
        request = GenerationRequest(prompt=TextPrompt(words), sampling=sampling, device=device)
        self.cancel: Callable[[], None] = model.submit(request, self.events.append)

    @property
    def warning(self) -> str | None:
        until(lambda: bool(self.events))
        assert isinstance(self.events[0], Accepted)
        return self.events[0].warning

    def wait(self) -> "Reply":
        until(lambda: isinstance(self.events[-1] if self.events else None, Finished))
        return self


@pytest.fixture
def pool() -> Iterator[Pool]:
    def on(device: str) -> Callable[[], object]:
        environment = {"FAKE_DEVICES": "cuda", "FAKE_STEP_SECONDS": "0.005"}
        return lambda: fake_engine(environment=environment, device=device)

    spec = ModelSpec(
        id="fake",
        name="fake",
        make=on("auto"),  # type: ignore[arg-type]
        on_device=lambda device: on(device)(),  # type: ignore[arg-type,return-value]
    )
    made = Pool([spec], free_memory=lambda: 1, keep_alive_seconds=0, max_loaded=0)
    yield made
    made.close()


def device_of(model: ServedModel) -> str:
    assert model.state.model
    return model.state.model.device


def test_a_model_is_loaded_where_the_first_request_wants_it(pool: Pool) -> None:
    model = pool.find(None)
    assert Reply(model, "cuda").wait().warning is None
    assert device_of(model) == "cuda"


def test_an_idle_model_moves_and_stays(pool: Pool) -> None:
    model = pool.find(None)
    Reply(model, None).wait()
    assert device_of(model) == "cpu"
    assert Reply(model, "cuda").wait().warning is None
    assert device_of(model) == "cuda"
    engine = model.engine
    for device in (None, "auto", "cuda"):
        assert Reply(model, device).wait().warning is None
    assert model.engine is engine
    assert Reply(model, "cpu").wait().warning is None
    assert device_of(model) == "cpu"


def test_a_model_at_work_stays_and_the_reply_says_so(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    model = pool.find(None)
    working = Reply(model, None, SamplingParams(max_tokens=2000))
    until(lambda: len(working.events) > 3)
    other = Reply(model, "cuda").wait()
    assert other.warning == "fake was at work on cpu and was not moved to cuda"
    assert other.warning in caplog.text
    assert model.routing.warning == other.warning
    working.cancel()
    working.wait()
    assert Reply(model, "cuda").wait().warning is None
    assert model.routing.warning is None


def test_a_device_that_is_not_there_moves_nothing(pool: Pool) -> None:
    model = pool.find(None)
    for _ in range(2):
        reply = Reply(model, "metal").wait()
        assert reply.warning == "metal is not available: fake runs on cpu"
    engine = model.engine
    Reply(model, "metal").wait()
    assert model.engine is engine


def info(*gpus: tuple[str, Trust], **changes: object) -> ModelInfo:
    """Device info of a model on the processor of a machine with these GPUs."""
    numbers = dict.fromkeys(("n_ctx", "n_ctx_train", "n_params", "size", "n_seq_max"), 1)
    devices = (AssessedDevice(device=PROCESSOR), *(standing(*one) for one in gpus))
    fields = {"description": "", "device": "cpu", "devices": devices, **numbers, **changes}
    return ModelInfo(**fields)  # type: ignore[arg-type]


def standing(name: str, trust: Trust) -> AssessedDevice:
    family = name.rstrip("0123456789").lower()
    gpu = Device(name=name, description=name, kind="gpu", family=family, free=1, total=1)
    return AssessedDevice(device=gpu, trust=trust, detail=f"{name} is {trust}")


def test_a_model_is_not_loaded_again_and_again_for_a_device_it_does_not_fit_on() -> None:
    warning = "no layer fits on CUDA0; the processor is used instead"
    place = DeviceRouting("large", lambda: info(("CUDA0", "trusted"), warning=warning))
    assert place.should_move("cuda")
    assert place.begin_load("cuda") == "cuda"
    assert not place.should_move("cuda")
    assert place.warning_for("cuda") == place.warning_for(None) == warning
    assert place.warning_for("cpu") is None


def test_one_of_several_is_asked_for_by_its_name() -> None:
    two = (("Vulkan0", "trusted"), ("Vulkan1", "trusted"))
    place = DeviceRouting("large", lambda: info(*two, device="vulkan", on=("Vulkan1",)))  # type: ignore[arg-type]
    for fine in ("vulkan", "Vulkan1", "VULKAN1", "auto", None):
        assert not place.should_move(fine)
        assert place.warning_for(fine) is None
    assert place.should_move("vulkan0")
    both = DeviceRouting("large", lambda: info(*two, device="vulkan", on=("Vulkan0", "Vulkan1")))  # type: ignore[arg-type]
    assert both.should_move("vulkan0")


def test_fewer_layers_are_reported_to_clients_that_request_that_gpu() -> None:
    warning = "3 of 30 layers fit on CUDA0"
    there = info(("CUDA0", "trusted"), device="cuda", on=("CUDA0",), warning=warning)
    place = DeviceRouting("large", lambda: there)
    assert (
        place.warning_for("cuda")
        == place.warning_for("cuda0")
        == place.warning_for(None)
        == warning
    )


def test_a_gpu_that_computes_wrong_moves_nothing_and_one_that_died_is_tried_again() -> None:
    place = DeviceRouting("small", lambda: info(("CUDA0", "wrong"), ("Vulkan0", "failed")))
    assert not place.should_move("cuda")
    assert place.warning_for("cuda") == "CUDA0 is wrong; small runs on cpu"
    assert place.should_move("vulkan")


def test_a_gpu_that_is_being_compared_is_waited_for() -> None:
    waiting = info(("CUDA0", "unproven"), unproven=("CUDA0",))
    place = DeviceRouting("small", lambda: waiting)
    assert not place.should_move("cuda")
    assert (
        place.warning_for("cuda")
        == "cuda is being compared with the processor, on which small runs"
    )
    # A model configured for the processor must be reloaded before a GPU can be compared.
    assert DeviceRouting("small", lambda: info(("CUDA0", "unproven"))).should_move("cuda")


def test_devices_are_listed_once_as_the_least_trusting_model_sees_them() -> None:
    merged = merge_statuses(
        [
            *info(("CUDA0", "trusted")).devices,
            *info(("CUDA0", "wrong"), ("CUDA1", "trusted")).devices,
        ]
    )
    assert {name: it.trust for name, it in merged.items()} == {
        "CPU": "trusted",
        "CUDA0": "wrong",
        "CUDA1": "trusted",
    }


def test_a_model_elsewhere_is_not_moved() -> None:
    place = DeviceRouting("far", lambda: info(device="upstream", devices=()))
    assert not place.should_move("cuda")
    assert "elsewhere" in (place.warning_for("cuda") or "")
