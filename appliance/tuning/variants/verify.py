"""Verifies the variants, and chooses among those that compute correctly."""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

import msgspec

from appliance.tuning.variants.protocol import Need, VariantsRequest, VariantVerdict

log = logging.getLogger(__name__)

PROCESS_SECONDS = 60.0
"""For the whole process, which has a shorter bound of its own for what it tries."""
AS_FAST = 1.1
"""Who is slower than the fastest by no more is as fast: then the one with more instructions."""
PREFILL_PART = 0.5
"""Exponents of a geometric mean, as the tuner weighs them."""


def prove(
    need: Need,
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    only: tuple[str, ...] = (),
    fork: bool = sys.platform != "win32",
) -> list[VariantVerdict]:
    """The results of trying the variants that this processor can run, or `only` some; the plainest
    first. None: it could not be tried, and why is in the log. Without `fork` it takes longer."""
    start = () if fork else tuple(command)
    try:
        with tempfile.TemporaryDirectory(prefix="appliance-proof-") as folder:
            ended = subprocess.run(
                list(command),
                env=dict(environment),
                input=msgspec.json.encode(
                    VariantsRequest(need=need, folder=folder, only=only, start=start)
                ),
                capture_output=True,
                timeout=PROCESS_SECONDS,
                check=True,
            )
        verdicts = msgspec.json.decode(ended.stdout, type=list[VariantVerdict])
    except subprocess.CalledProcessError as ex:
        last = ex.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        log.error("llama.cpp's variants could not be tried: %s: %s", ex, last)
        return []
    except (OSError, subprocess.SubprocessError, ValueError) as ex:
        log.error("llama.cpp's variants could not be tried: %s", ex)
        return []
    for verdict in verdicts:
        if verdict.outcome != "right":
            log.warning("llama.cpp's variant %s is not used: %s", verdict.variant, verdict.detail)
    return verdicts


def choose(
    verdicts: Sequence[VariantVerdict], without: frozenset[str] = frozenset()
) -> VariantVerdict | None:
    """The fastest of those that are right; None: there is none.

    Args:
        without: variants that are not to be taken; one of them is, if there is no other.
    """
    right = [one for one in verdicts if one.outcome == "right"]
    right = [one for one in right if one.variant not in without] or right[:1]
    if not right:
        return None
    fastest = min(map(_time, right))
    return max((one for one in right if _time(one) <= fastest * AS_FAST), key=lambda one: one.score)


def _time(verdict: VariantVerdict) -> float:
    """Its time; a variant without a measurement comes last: it is only known to be correct."""
    if not verdict.prefill:
        return float("inf")
    return float(verdict.prefill**PREFILL_PART * verdict.decode ** (1 - PREFILL_PART))
