"""The device that was asked for, how many layers fit there, and what is said when they don't."""

import msgspec
import pytest

from appliance.engine.runners.placement import choose
from tests.engine.conftest import load_of


class Device(msgspec.Struct):
    kind: str
    family: str
    free: int = 0


CPU = Device("cpu", "cpu", 10**10)
CUDA = Device("gpu", "cuda", 1000)
SIZES = (0, 300, 600, 900, 1200)


def test_without_a_gpu_the_processor_is_used_in_silence() -> None:
    place = choose(load_of("x"), [CPU])
    assert (place.device, place.n_gpu_layers, place.warning) == ("cpu", 0, None)


@pytest.mark.parametrize("device", ["cuda", "metal"])
def test_a_gpu_that_is_not_there_gives_way_with_a_warning(device: str) -> None:
    place = choose(load_of("x", device=device), [CPU])
    assert (place.device, place.n_gpu_layers) == ("cpu", 0)
    assert device in (place.warning or "")


def test_the_processor_can_be_asked_for() -> None:
    assert choose(load_of("x", device="cpu"), [CPU, CUDA]).n_gpu_layers == 0


def test_as_many_layers_as_fit_go_to_the_gpu() -> None:
    place = choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA])
    assert (place.device, place.n_gpu_layers) == ("cuda", 3)
    assert "3 of 4" in (place.warning or "")
    roomy = choose(load_of("x", gpu_bytes=SIZES), [CPU, Device("gpu", "cuda", 10**6)])
    assert (roomy.n_gpu_layers, roomy.warning) == (4, None)
    full = choose(load_of("x", gpu_bytes=(0, 300)), [CPU, Device("gpu", "cuda", 100)])
    assert full.n_gpu_layers == 0
    assert full.warning


def test_slots_have_cells_of_their_own_where_a_gpu_has_twice_the_room() -> None:
    load = load_of("x", gpu_bytes=SIZES, gpu_bytes_apart=4000)
    assert choose(load, [CPU, Device("gpu", "cuda", 9000)]).apart
    assert not choose(load, [CPU, Device("gpu", "cuda", 8000)]).apart
    assert not choose(load, [CPU]).apart
    plenty = load_of("x", gpu_bytes=SIZES, cpu_apart=True)
    assert choose(plenty, [CPU]).apart
    assert not choose(plenty, [CPU, Device("gpu", "cuda", 9000)]).apart
    shared = load_of("x", gpu_bytes=SIZES)
    assert not choose(shared, [CPU, Device("gpu", "cuda", 9000)]).apart
    few = load_of("x", gpu_bytes=SIZES, gpu_bytes_apart=4000, n_gpu_layers=2)
    assert not choose(few, [CPU, Device("gpu", "cuda", 9000)]).apart


def test_when_an_allocation_fails_they_share_before_layers_are_taken_away() -> None:
    load = load_of("x", gpu_bytes=SIZES, gpu_bytes_apart=4000)
    place = choose(load, [CPU, Device("gpu", "cuda", 9000)])
    assert place.shrink()
    assert (place.apart, place.n_gpu_layers, place.warning) == (False, 4, None)
    assert place.shrink()
    assert place.n_gpu_layers == 3


def test_two_gpus_are_counted_together() -> None:
    assert choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA, CUDA]).n_gpu_layers == 4


def test_a_number_that_was_given_is_taken() -> None:
    assert choose(load_of("x", gpu_bytes=SIZES, n_gpu_layers=4), [CPU, CUDA]).n_gpu_layers == 4


def test_a_failed_allocation_is_tried_with_fewer_layers_until_none_are_left() -> None:
    place = choose(load_of("x", gpu_bytes=SIZES), [CPU, CUDA])
    tried = []
    while place.shrink():
        tried.append(place.n_gpu_layers)
    assert tried == [2, 1, 0]
    assert place.warning
