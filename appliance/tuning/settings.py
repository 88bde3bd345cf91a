"""The tuned settings of models, as far as the configuration leaves them free."""

from pathlib import Path
from typing import Literal

from appliance.config import paths
from appliance.config.context import KvType
from appliance.config.schema import Config
from appliance.engine.protocol import Tuned
from appliance.tuning.profile import describe, discard, discard_variant, profile_for, weights_of


def folder() -> Path:
    """Where it is kept how models run fastest, rewritten weights included."""
    return paths.cache_dir() / "tuned"


def tuned_settings(config: Config, file: Path, variant: str) -> Tuned | None:
    """How to run a file on that variant of llama.cpp; None: as the configuration says."""
    engine = config.engine
    profile = profile_for(file, folder()) if engine.tune else None
    if profile is None or not profile.faster or profile.variant != variant:
        return None
    best = profile.best.setting
    plain = engine.flash_attn == "off"
    return Tuned(
        path=str(weights_of(profile, folder()) or file),
        n_threads=engine.n_threads or best.n_threads,
        n_threads_batch=engine.n_threads or best.n_threads_batch,
        n_ubatch=min(engine.n_ubatch, best.n_ubatch),
        flash_attn=best.flash_attn if engine.flash_attn == "auto" else engine.flash_attn,
        type_k=kv_type(engine.type_k, "f16" if plain else best.type_k),
        type_v=kv_type(engine.type_v, "f16" if plain else best.type_v),
    )


def summary(config: Config, file: Path) -> str:
    """In a line, for people; empty: nothing was found."""
    profile = profile_for(file, folder()) if config.engine.tune else None
    return describe(profile.best.setting) if profile and profile.faster else ""


def kv_type(wanted: KvType | Literal["auto"], otherwise: KvType = "f16") -> KvType:
    """The configuration's word, or what `auto` stands for."""
    return otherwise if wanted == "auto" else wanted


def forget_variant(variant: str) -> None:
    """It computed wrong, so whatever was measured with it is worth nothing."""
    discard_variant(folder(), variant)


def forget(file: Path) -> None:
    """Run the original from now on."""
    discard(file, folder())
