"""The requested device, the number of layers that fit, and the warning when they don't."""

from collections.abc import Sequence

import pytest

from appliance.engine.protocol import Device, Load, Trust
from appliance.worker.runners import placement
from appliance.worker.runners.placement import Placement
from tests.engine.conftest import load_of


def device(name: str, free: int, kind: str = "gpu") -> Device:
    family = name.rstrip("0123456789").lower()
    return Device(
        name=name,
        description=name,
        kind=kind,  # type: ignore[arg-type]
        family=family,
        free=free,
        total=free,
    )


CPU = device("CPU", 10**10, "cpu")
CUDA = device("CUDA0", 1000)
SIZES = (0, 300, 600, 900, 1200)


def choose(load: Load, devices: list[Device], **trust: Trust) -> Placement:
    """`trust`: the trust of devices, by name, where it isn't full."""

    def judge(asked: Sequence[Device]) -> tuple[Trust, str]:
        distrusted: list[Trust] = [trust[it.name] for it in asked if it.name in trust]
        worst = distrusted[0] if distrusted else "trusted"
        return worst, f"{asked[0].name} is {worst}"

    return placement.choose(load, devices, judge)


def test_without_a_gpu_the_processor_is_used_in_silence() -> None:
    assert choose(load_of("x"), [CPU]) == Placement("cpu")


@pytest.mark.parametrize("wanted", ["cuda", "metal", "vulkan", "cuda1"])
def test_a_gpu_that_is_not_there_gives_way_with_a_warning(wanted: str) -> None:
    place = choose(load_of("x", device=wanted), [CPU])
    assert (place.device, place.n_gpu_layers, place.on) == ("cpu", 0, ())
    assert f"{wanted} is not available (GPUs: none)" in (place.warning or "")


@pytest.mark.parametrize("wanted", [{"device": "cpu"}, {"n_gpu_layers": 0}])
def test_the_processor_can_be_asked_for(wanted: dict[str, object]) -> None:
    assert choose(load_of("x", **wanted), [CPU, CUDA]) == Placement("cpu")


def test_as_many_layers_as_fit_go_to_the_gpu() -> None:
    place = choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA])
    assert (place.device, place.on, place.n_gpu_layers) == ("cuda", ("CUDA0",), 3)
    assert place.warning == "3 of 4 layers fit on CUDA0"
    roomy = choose(load_of("x", gpu_bytes=SIZES), [CPU, device("CUDA0", 10**6)])
    assert (roomy.n_gpu_layers, roomy.warning) == (4, None)
    full = choose(load_of("x", gpu_bytes=(10, 300)), [CPU, device("CUDA0", 5)])
    assert (full.device, full.n_gpu_layers, full.on) == ("cpu", 0, ())
    assert full.warning == "no layer fits on CUDA0; the processor is used instead"


def test_slots_have_cells_of_their_own_where_a_gpu_has_twice_the_room() -> None:
    load = load_of("x", gpu_bytes=SIZES, gpu_bytes_apart=4000)
    assert choose(load, [CPU, device("CUDA0", 9000)]).apart
    assert not choose(load, [CPU, device("CUDA0", 8000)]).apart
    assert not choose(load, [CPU]).apart
    plenty = load_of("x", gpu_bytes=SIZES, cpu_apart=True)
    assert choose(plenty, [CPU]).apart
    assert not choose(plenty, [CPU, device("CUDA0", 9000)]).apart
    shared = load_of("x", gpu_bytes=SIZES)
    assert not choose(shared, [CPU, device("CUDA0", 9000)]).apart
    few = load_of("x", gpu_bytes=SIZES, gpu_bytes_apart=4000, n_gpu_layers=2)
    assert not choose(few, [CPU, device("CUDA0", 9000)]).apart


def test_when_an_allocation_fails_they_share_before_layers_are_taken_away() -> None:
    load = load_of("x", gpu_bytes=SIZES, gpu_bytes_apart=4000)
    place = choose(load, [CPU, device("CUDA0", 9000)])
    assert place.shrink()
    assert (place.apart, place.n_gpu_layers, place.warning) == (False, 4, None)
    assert place.shrink()
    assert (place.n_gpu_layers, place.warning) == (3, "only 3 layers could be loaded on CUDA0")


def test_gpus_that_are_too_small_alone_share_a_model() -> None:
    place = choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA, device("CUDA1", 1000)])
    assert (place.on, place.n_gpu_layers) == (("CUDA0", "CUDA1"), 4)


def test_the_roomiest_is_enough_where_it_holds_all() -> None:
    two = [CPU, device("CUDA0", 2000), device("CUDA1", 3000)]
    assert choose(load_of("x", gpu_bytes=SIZES), two).on == ("CUDA1",)
    # An equally good device that was not compared yet is not worth a comparison.
    place = choose(load_of("x", gpu_bytes=SIZES), two, CUDA1="unproven")
    assert (place.on, place.unproven) == (("CUDA0",), ())


def test_a_gpu_is_asked_for_by_its_name_in_any_case() -> None:
    two = [CPU, device("Vulkan0", 9000), device("Vulkan1", 2000)]
    place = choose(load_of("x", gpu_bytes=SIZES, device="vulkan1"), two)
    assert (place.device, place.on, place.warning) == ("vulkan", ("Vulkan1",), None)


def test_two_families_never_share_a_model_since_they_may_be_one_gpu() -> None:
    both = [CPU, device("Vulkan0", 5000), device("CUDA0", 5000)]
    assert choose(load_of("x", gpu_bytes=SIZES), both).on == ("CUDA0",)
    # A device that holds more of the model is better than a usually faster one.
    small = [CPU, device("Vulkan0", 5000), device("CUDA0", 400)]
    assert choose(load_of("x", gpu_bytes=SIZES), small).on == ("Vulkan0",)
    assert choose(load_of("x", gpu_bytes=SIZES, device="cuda"), small).on == ("CUDA0",)


def test_a_gpu_with_memory_of_its_own_comes_before_one_in_the_processor() -> None:
    there = [CPU, device("Vulkan0", 9000, "igpu"), device("Vulkan1", 5000)]
    assert choose(load_of("x", gpu_bytes=SIZES), there).on == ("Vulkan1",)
    assert choose(load_of("x", gpu_bytes=SIZES, device="vulkan0"), there).on == ("Vulkan0",)
    assert choose(load_of("x", gpu_bytes=SIZES), there[:2]).on == ("Vulkan0",)


def test_until_a_gpu_is_compared_the_processor_is_used() -> None:
    place = choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA], CUDA0="unproven")
    assert (place.device, place.unproven, place.warning) == ("cpu", ("CUDA0",), None)
    asked = choose(load_of("x", gpu_bytes=SIZES, device="cuda"), [CPU, CUDA], CUDA0="unproven")
    assert asked.warning == (
        "CUDA0 is being compared with the processor; the processor is used meanwhile"
    )


@pytest.mark.parametrize("trust", ["wrong", "failed"])
def test_an_untrusted_gpu_is_replaced_by_another_and_reported(trust: Trust) -> None:
    both = [CPU, device("Vulkan0", 5000), device("CUDA0", 5000)]
    place = choose(load_of("x", gpu_bytes=SIZES), both, CUDA0=trust)
    assert place.on == ("Vulkan0",)
    assert place.warning == f"CUDA0 is {trust}; Vulkan0 is used instead"
    none = choose(load_of("x", gpu_bytes=SIZES), both, CUDA0=trust, Vulkan0=trust)
    assert none.device == "cpu"
    assert none.warning == (f"CUDA0 is {trust}; Vulkan0 is {trust}; the processor is used instead")


def test_a_slow_one_is_passed_over_in_silence() -> None:
    both = [CPU, device("Vulkan0", 5000), device("CUDA0", 5000)]
    assert choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA], CUDA0="slow") == Placement("cpu")
    place = choose(load_of("x", gpu_bytes=SIZES), both, CUDA0="slow")
    assert (place.on, place.warning) == (("Vulkan0",), None)


def test_a_better_one_is_compared_while_another_is_used() -> None:
    both = [CPU, device("Vulkan0", 5000), device("CUDA0", 5000)]
    place = choose(load_of("x", gpu_bytes=SIZES), both, CUDA0="unproven")
    assert (place.on, place.unproven, place.warning) == (("Vulkan0",), ("CUDA0",), None)


def test_a_number_that_was_given_is_taken() -> None:
    assert choose(load_of("x", gpu_bytes=SIZES, n_gpu_layers=4), [CPU, CUDA]).n_gpu_layers == 4


def test_a_failed_allocation_is_tried_with_fewer_layers_until_none_are_left() -> None:
    place = choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA])
    tried = []
    while place.shrink():
        tried.append(place.n_gpu_layers)
    assert tried == [2, 1, 0]
    assert (place.device, place.on) == ("cpu", ())
    assert place.warning == "nothing could be loaded on CUDA0; the processor is used instead"
