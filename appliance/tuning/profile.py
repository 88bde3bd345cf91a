"""The tuning profile of a model on this machine, and the folder of profiles.

The folder holds a `.json` a model and machine, and beside it the rewritten weights if there are
any. A profile is believed only as long as everything it was measured with is as it was. Reading one
costs the appliance a few milliseconds and no native code.
"""

import contextlib
import logging
import shutil
import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.system import hardware
from appliance.system.files import replace_file
from appliance.system.fingerprint import fingerprint

log = logging.getLogger(__name__)

MAX_KL = 0.01
"""Nats a token. Numerical noise between layouts that hold the same weights is 0.003 … 0.005; a
layout with fewer bits is at 0.04 and above: another model."""
MIN_GAIN = 1.03
"""What is not faster by as much as that is not worth being different."""
MAX_LOSS = 0.85
"""No single figure may fall below this part of what it was, whatever the others gain."""
WEIGHTS = {"prefill": 0.5, "decode": 0.35, "decode_8": 0.15}
"""Exponents of a geometric mean. Half of it is prefill: on small machines reading the prompt is
most of what people wait for, with nothing to read meanwhile. Then one stream's decode, which is
felt as long as it is slower than reading; eight streams at once are rare where there are few
cores."""

NO_TIME = "no time left"
"""Verdict on what was not tried for lack of it."""
BUSY = "other programs were busy"
"""Verdict on what could not be judged for that."""
LEFT_OVER_SECONDS = 86_400.0

ThreadCount = Annotated[int, Meta(ge=1, le=1024)]
TunedKvType = Literal["f16", "q8_0"]
TunedFlashAttention = Literal["auto", "off"]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run; the names are those of llama.cpp's context parameters."""

    layout: str = ""
    """Type that the weights are rewritten to, such as `Q8_0`; empty: as shipped."""
    n_threads: ThreadCount
    n_threads_batch: ThreadCount
    n_ubatch: Annotated[int, Meta(ge=1, le=65536)]
    flash_attn: TunedFlashAttention = "auto"
    type_k: TunedKvType = "f16"
    type_v: TunedKvType = "f16"


class MeasuredSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens a second; medians."""

    prefill: Annotated[float, Meta(gt=0)]
    decode: Annotated[float, Meta(gt=0)]
    """Speed of one stream."""
    decode_8: Annotated[float, Meta(gt=0)]
    """Speed of eight streams together."""


class TuningTrial(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was tried, for people."""

    what: str
    verdict: str
    gain: float | None = None
    """Score beside the best so far; None: it was not measured."""
    kl: float | None = None


class Best(msgspec.Struct, frozen=True, kw_only=True, tag="best"):
    """The best so far, measured beside the file as shipped with the usual setting."""

    setting: Setting
    speed: MeasuredSpeed
    shipped: MeasuredSpeed
    kl: Annotated[float, Meta(ge=0)]
    """Mean Kullback-Leibler divergence from the file as shipped, nats a token."""
    kl_tokens: int = 0
    """That it is the mean of."""
    file: str = ""
    """The rewritten weights; empty: the original file."""


class TuningProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What `tune` found; `profile_for` gives it back as long as it holds."""

    version: Literal[1] = 1
    source: str
    """Path of the original file."""
    model: str
    """Fingerprints: of that file, of this machine, of the build of llama.cpp, of `best.file`."""
    hardware: str
    build: str
    variant: str = ""
    """The variant of llama.cpp's CPU backend that computed."""
    file: str = ""
    best: Best
    """Its `file` is a bare name, beside the profile."""
    trials: list[TuningTrial] = []
    seconds: float
    """That the measurements took."""

    @property
    def faster(self) -> bool:
        """Whether something was found that is worth being different."""
        return score(self.best.speed, self.best.shipped) >= MIN_GAIN

    @property
    def complete(self) -> bool:
        """Whether there was time and an idle machine for everything; if not, another try may find
        more."""
        return bool(self.trials) and all(
            trial.verdict not in (NO_TIME, BUSY) for trial in self.trials
        )


def score(speed: MeasuredSpeed, beside: MeasuredSpeed) -> float:
    """How much faster, by WEIGHTS; 1.0: the same."""
    gain = 1.0
    for name, weight in WEIGHTS.items():
        gain *= (getattr(speed, name) / getattr(beside, name)) ** weight
    return gain


def acceptable(best: Best, max_kl: float = MAX_KL) -> bool:
    """Whether it is true to the original file and loses nothing that matters."""
    return best.kl <= max_kl and all(
        getattr(best.speed, name) >= MAX_LOSS * getattr(best.shipped, name) for name in WEIGHTS
    )


def describe(setting: Setting) -> str:
    """A setting in a line."""
    threads = f"{setting.n_threads}"
    if setting.n_threads_batch != setting.n_threads:
        threads += f" (prompts: {setting.n_threads_batch})"
    kv = f", KV {setting.type_k}/{setting.type_v}" if setting.type_k != "f16" else ""
    flash = ", no flash attention" if setting.flash_attn == "off" else ""
    return (
        f"weights {setting.layout or 'as shipped'}, threads {threads}, "
        f"n_ubatch {setting.n_ubatch}{flash}{kv}"
    )


# -- the folder ------------------------------------------------------------------------------------


def profile_for(model: Path, folder: Path) -> TuningProfile | None:
    """The profile of a model file on this machine; None at any doubt: use the original file.

    Never raises; the original file is not touched.
    """
    try:
        digest = fingerprint(model)
        place = folder / f"{digest}-{hardware.hardware()}.json"
        if not place.exists():
            return None
        profile = _read(place)
        fault = _fault(profile, folder, model=digest)
    except (OSError, ValueError, RecursionError) as ex:
        fault = str(ex)
    if fault:
        log.warning("the tuned profile of %s is not used: %s", model.name, fault)
        return None
    return profile


def weights_of(profile: TuningProfile, folder: Path) -> Path | None:
    """The rewritten weights; None: the original file serves best."""
    return folder / profile.best.file if profile.best.file else None


def keep(profile: TuningProfile, folder: Path) -> None:
    """Store a profile in place of the one before; all or nothing.

    Raises:
        OSError: it cannot be written.
    """
    place = _place(Path(profile.source), folder)
    replace_file(place, msgspec.json.format(msgspec.json.encode(profile), indent=2), durable=True)
    for file in folder.glob(f"{place.stem}-*.gguf"):
        if file.name != profile.best.file:
            _remove(file)


def discard(model: Path, folder: Path) -> None:
    """Forget what was found: for a tuned file that could not be loaded, or on request."""
    with contextlib.suppress(OSError):
        place = _place(model, folder)
        place.unlink(missing_ok=True)
        for file in folder.glob(f"{place.stem}-*.gguf"):
            _remove(file)


def discard_variant(folder: Path, variant: str) -> None:
    """Forget what a variant of llama.cpp computed; what goes with it, `prune` removes."""
    for place in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if _read(place).variant == variant:
                place.unlink()
    prune(folder)


def prune(folder: Path) -> None:
    """Remove what serves no model any more: the original is gone or changed, or llama.cpp did, and
    what a tuning that was cut short left behind."""
    if not folder.is_dir():
        return
    here = hardware.hardware()
    for place in folder.glob(f"*-{here}.json"):
        try:
            profile = _read(place)
            source = Path(profile.source)
            holds = _place(source, folder) == place and profile.build == hardware.build()
        except (OSError, ValueError, RecursionError):
            holds = False
        if not holds:
            _remove(place)
    for file in folder.glob(f"*-{here}-*.gguf"):
        if not (folder / file.name.rpartition("-")[0]).with_suffix(".json").is_file():
            _remove(file)
    for part in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > LEFT_OVER_SECONDS:
                _remove(part)


def stem(model: Path) -> str:
    """How the names of a model's files in the folder begin, on this machine.

    Raises:
        OSError: the model file cannot be read.
    """
    return f"{fingerprint(model)}-{hardware.hardware()}"


def _place(model: Path, folder: Path) -> Path:
    return folder / f"{stem(model)}.json"


def _read(place: Path) -> TuningProfile:
    return msgspec.json.decode(place.read_bytes(), type=TuningProfile)


def _fault(profile: TuningProfile, folder: Path, *, model: str) -> str:
    """Why it is not to be believed; empty: it is."""
    best = profile.best
    if (profile.model, profile.hardware) != (model, hardware.hardware()):
        return "it belongs to another model or machine"
    if profile.build != hardware.build():
        return "llama.cpp is another one since"
    if not acceptable(best):
        return f"mean KL divergence {best.kl}: not true to the original"
    if bool(best.file) != bool(best.setting.layout) or Path(best.file).name != best.file:
        return "it is damaged"
    if best.file and fingerprint(folder / best.file) != profile.file:
        return "the rewritten weights have changed"
    return ""


def _remove(path: Path) -> None:
    """Windows keeps a file that a process has mapped; the next `prune` tries again."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
