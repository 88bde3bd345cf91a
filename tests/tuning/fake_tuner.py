"""A fake tuning process with scripted output, and the resulting profile."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from appliance.config.environment import worker_environment
from appliance.tuning.profile import Best, MeasuredSpeed, Setting, TuningProfile
from appliance.tuning.tune import tune

CHILD = [sys.executable, "-m", "appliance", "tuner"]
USUAL = Setting(n_threads=2, n_threads_batch=2, n_ubatch=512)
SLOW = MeasuredSpeed(prefill=100, decode=50, decode_8=80)
FAST = MeasuredSpeed(prefill=200, decode=50, decode_8=90)


def tuned(model: Path, folder: Path, command: list[str] = CHILD, **more: Any) -> TuningProfile:
    arguments: dict[str, Any] = {"budget_seconds": 10.0, "progress": lambda line: None}
    return tune(
        model, folder, command=command, environment=worker_environment(), **(arguments | more)
    )


def printing(*lines: object, then: str = "") -> list[str]:
    """The command of a process that prints these lines. A `file` named in them is written."""
    encoded = [msgspec.json.encode(line).decode() for line in lines]
    script = (
        "import json, os, pathlib, signal, sys, time\n"
        "folder = json.loads(sys.stdin.readline())['folder']\n"
        f"for line in {encoded!r}:\n"
        "    event = json.loads(line)\n"
        "    if isinstance(event, dict) and event.get('file'):\n"
        "        pathlib.Path(folder, event['file']).write_bytes(b'weights' * 100_000)\n"
        "    print(line, flush=True)\n"
        f"{then}\n"
    )
    return [sys.executable, "-c", script]


def best(speed: MeasuredSpeed = FAST, kl: float = 0.004, **more: Any) -> Best:
    given: dict[str, Any] = {"setting": USUAL} | more
    return Best(speed=speed, shipped=SLOW, kl=kl, **given)


SHIPPED = best(SLOW, 0.0)
REWRITTEN = best(file="Q8_0.gguf", setting=msgspec.structs.replace(USUAL, layout="Q8_0"))
