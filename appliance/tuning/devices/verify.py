"""Compares GPUs with the processor, in a process of its own: it may die or hang there."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from appliance.engine.device_results import ComparisonResult, store_result
from appliance.engine.protocol import Load
from appliance.system.json_process import converse
from appliance.tuning.devices.protocol import CannotCompare, Compare, Compared, ComparisonEvent

log = logging.getLogger(__name__)

SILENCE_SECONDS = 120.0
"""Time for a driver to compile all that a model needs, or read a batch on a busy machine; a worker
is given as long for a step."""
ALL_SECONDS = 600.0


class ComparisonOutcome(NamedTuple):
    """What came of it."""

    result: ComparisonResult | None
    why: str = ""
    """Why there is none, for people; empty: it was stopped."""


def compare(
    load: Load,
    devices: tuple[str, ...],
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    stop: Callable[[], bool] = lambda: False,
    silence_seconds: float = SILENCE_SECONDS,
) -> ComparisonOutcome:
    """Compare, and keep the result in `load.fidelity_folder`.

    Args:
        load: how the model is run.
        devices: names of GPUs, which compute it together.
        command: starts the child, in `environment`.
        stop: called often; everything ends at once when it returns true.

    Raises:
        OSError: the child cannot be started, or the result not be kept.
    """
    results: list[Compared | CannotCompare] = []

    def listen(line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=ComparisonEvent)
        except ValueError as ex:
            log.warning("the comparing process sent something else: %s", ex)
            return
        if isinstance(event, Compared | CannotCompare):
            results.append(event)
        else:
            log.debug("comparing %s with the processor: %s", " and ".join(devices), event.text)

    end = converse(
        command,
        environment,
        msgspec.json.encode(Compare(load=load, devices=devices)),
        listen,
        seconds=ALL_SECONDS,
        silence_seconds=silence_seconds,
        stop=stop,
    )
    for event in results:
        if isinstance(event, CannotCompare):
            return ComparisonOutcome(None, event.message)
        store_result(event.result, Path(load.fidelity_folder))
        return ComparisonOutcome(event.result)
    if end.stopped:
        return ComparisonOutcome(None)
    last = end.log_tail.rpartition("\n")[2]
    how = "it hung" if end.timed_out else f"it died ({_ended(end.code)})"
    return ComparisonOutcome(
        None, f"{how} when it was compared with the processor; last words: {last}"
    )


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
