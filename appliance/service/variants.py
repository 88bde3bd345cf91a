"""Which variant of llama.cpp a model runs on: one that was verified on this machine."""

import logging
import threading
from collections import Counter
from pathlib import Path

from appliance.config import paths
from appliance.config.environment import worker_environment
from appliance.config.schema import Config
from appliance.engine.kv_files import forget_variant
from appliance.models.gguf.metadata import GgufHeader
from appliance.models.gguf.tensor_types import TYPE_OF_NUMBER
from appliance.system import llama_libraries
from appliance.tuning import settings
from appliance.tuning.variants import results
from appliance.tuning.variants.protocol import Need, VariantVerdict
from appliance.tuning.variants.verify import choose, prove

log = logging.getLogger(__name__)

_NUMBERS = {name: number for number, (name, *_) in TYPE_OF_NUMBER.items()}
_one_at_a_time = threading.Lock()
_deaths: Counter[str] = Counter()
"""Deaths of workers by variant since this process started; guarded by the lock."""
ONCE = 1
"""Deaths that a variant is forgiven: a request may have been to blame."""


def folder() -> Path:
    """Where it is kept what came of trying."""
    return paths.cache_dir() / "proof"


def need_of(config: Config, header: GgufHeader) -> Need:
    """What a model asks of a processor."""
    engine = config.engine
    types = {tensor.type for tensor in header.tensors if len(tensor.dims) > 1}
    return Need(
        types={name: _NUMBERS[name] for name in sorted(types)},
        head_size=header.key_length,
        experts=header.expert_count > 0,
        type_k=settings.kv_type(engine.type_k),
        type_v=settings.kv_type(engine.type_v),
        flash_attn=engine.flash_attn,
    )


def known(need: Need) -> str | None:
    """The variant, if it is known without trying; empty: there is nothing to choose from."""
    if not llama_libraries.variants():
        return ""
    verdicts = results.kept(folder()).get(need.key, [])
    chosen = choose(verdicts, _distrusted())
    unfinished = any(one.outcome == "unknown" for one in verdicts)
    return None if chosen is None or unfinished else chosen.variant


def refused() -> dict[str, str]:
    """The variants that compute wrong here, die or hang, for some model at least, and why."""
    found = results.kept(folder()).values()
    verdicts = (verdict for those in found for verdict in those)
    return {v.variant: v.detail for v in verdicts if v.outcome not in ("right", "unknown")}


def variant(need: Need) -> str:
    """The variant; has all of them tried first if that was not done yet, which takes a second or
    two. If nothing can be tried, which the log says, it is the plainest. Empty: there is nothing to
    choose from."""
    with _one_at_a_time:
        found = known(need)
        if found is not None:
            return found
        return _choose(_try_all(need)) or llama_libraries.plainest()


def suspect(need: Need, name: str, reason: str, charge: bool) -> tuple[str, bool]:
    """A worker died in the native code of that variant; the one to use next, and whether this one
    was seen to be at fault.

    All are tried again. If it is right and this is the first time, it stays; the second time the
    next one takes its place, until the appliance starts again. `charge`: this is such a time; no
    request is known to be the cause.
    """
    with _one_at_a_time:
        log.error("llama.cpp's variant %s is under suspicion: %s", name, reason)
        _deaths[name] += charge
        verdicts = _try_all(need)
        outcome = {one.variant: one.outcome for one in verdicts}.get(name, "unknown")
        if outcome == "right" and name not in _distrusted():
            return name, False  # whatever seemed the fastest this time
        chosen = _choose(verdicts) or llama_libraries.plainest() or name
        return chosen, outcome not in ("right", "unknown")


def _choose(verdicts: list[VariantVerdict]) -> str:
    chosen = choose(verdicts, _distrusted())
    return chosen.variant if chosen else ""


def _distrusted() -> frozenset[str]:
    return frozenset(name for name, number in _deaths.items() if number > ONCE)


def _try_all(need: Need) -> list[VariantVerdict]:
    verdicts = prove(need, command=paths.proof_command(), environment=worker_environment())
    if verdicts:
        results.keep(folder(), need, verdicts)
    for verdict in verdicts:
        if verdict.outcome == "wrong":
            # Whatever it computed may be wrong as well.
            forget_variant(paths.kv_dir(), verdict.variant)
            settings.forget_variant(verdict.variant)
    return verdicts
