"""Checks that libraries compiled here compute correctly before they are installed."""

import os
import sys
from pathlib import Path

from appliance.system import llama_libraries
from appliance.tuning.variants.protocol import Need
from appliance.tuning.variants.verify import prove

NEEDS = (
    Need(types={"Q4_1": 3, "Q8_0": 8, "F16": 1, "F32": 0}, head_size=64),
    Need(types={"Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "Q4_0": 2, "BF16": 30}, head_size=128),
)
"""The types that most models use; the appliance checks those of each model again."""


def leave_out_wrong(folder: Path) -> None:
    """Removes the variants that run on this CPU and compute incorrectly.

    Raises:
        SystemExit: none computes correctly.
    """
    command = [sys.executable, "-m", "appliance", "proof"]
    environment = os.environ | {llama_libraries.FOLDER_VARIABLE: str(folder)}
    files = llama_libraries.variants(folder)
    right, wrong = set(), {}
    for need in NEEDS:
        for verdict in prove(need, command=command, environment=environment):
            if verdict.outcome == "right":
                right.add(verdict.variant)
            elif verdict.outcome != "unknown":
                wrong[verdict.variant] = verdict.detail
    for name, detail in wrong.items():
        print(f"{files[name].name} is left out: {detail}", file=sys.stderr)
        files[name].unlink()
    if not right - wrong.keys():
        raise SystemExit("Nothing that was compiled here computes right: nothing is changed.")
