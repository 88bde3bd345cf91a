"""Ollama's store: models by the names in manifests, in files named by what is in them.

A model there is more than its weights: Ollama keeps parameters, a system prompt, a template and
adapters in layers beside them. What of that can be used here is; what can't is named.
"""

from pathlib import Path
from typing import Any

import msgspec

MAX_MANIFEST = 1 << 20
"""Bytes, of a manifest and of another layer that is read."""
_KIND = "application/vnd.ollama.image."
MODEL_LAYER = f"{_KIND}model"


class ModelDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is used with, where a request says nothing; by the program that keeps it."""

    parameters: dict[str, Any] = {}
    """Ollama's options, as the file has them."""
    system: str = ""
    """The system prompt of chats that have none."""
    adapted: bool = False
    """It has an adapter, which is left out."""
    note: str = ""
    """For people: what of it is not used."""

    @property
    def key(self) -> bytes:
        """The same for models that are the same if their weights are."""
        return msgspec.json.encode((self.parameters, self.system, self.adapted), order="sorted")

    @property
    def context_length(self) -> int:
        """Tokens; 0: it names none."""
        value = self.parameters.get("num_ctx")
        return value if isinstance(value, int) and 0 < value < 2**31 else 0


NO_DEFAULTS = ModelDefaults()


class _Layer(msgspec.Struct, frozen=True):
    digest: str
    media_type: str = msgspec.field(name="mediaType")


class _Manifest(msgspec.Struct, frozen=True):
    layers: tuple[_Layer, ...] = ()


def read_manifest(store: Path, manifest: Path) -> tuple[Path, ModelDefaults] | None:
    """The weights that a manifest names, and what goes with them; None: they are not here, or in a
    form of Ollama's own."""
    content = _content(manifest)
    try:
        layers = msgspec.json.decode(content or b"", type=_Manifest).layers
    except ValueError:
        return None
    models = _blobs(store, layers, "model")
    if len(models) != 1 or not models[0].is_file():
        return None
    notes = []
    adapted = bool(_named(layers, "adapter"))
    if adapted:
        notes.append("its adapter is left out: it answers as the model does that it was made of")
    if _named(layers, "template"):
        notes.append("Ollama's template is not used, but the one in the file of weights")
    if _named(layers, "projector"):
        notes.append("its projector is left out: it sees no images")
    defaults = ModelDefaults(
        parameters=_parameters(store, layers, notes),
        system=_system(store, layers, notes),
        adapted=adapted,
        note="; ".join(notes),
    )
    return models[0], defaults


def _parameters(store: Path, layers: tuple[_Layer, ...], notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for content in _contents(store, layers, "params"):
        try:
            found |= msgspec.json.decode(content or b"", type=dict[str, Any])
        except ValueError:
            notes.append("its parameters cannot be read")
    return found


def _system(store: Path, layers: tuple[_Layer, ...], notes: list[str]) -> str:
    found = _contents(store, layers, "system")
    if None in found:
        notes.append("its system prompt cannot be read")
    return "\n".join(content.decode("utf-8", "replace") for content in found if content)


def _named(layers: tuple[_Layer, ...], kind: str) -> list[_Layer]:
    return [layer for layer in layers if layer.media_type == _KIND + kind]


def _blobs(store: Path, layers: tuple[_Layer, ...], kind: str) -> list[Path]:
    """Where the contents of the layers of a kind are; digests that are none name nothing."""
    found = []
    for layer in _named(layers, kind):
        algorithm, _, value = layer.digest.partition(":")
        if algorithm == "sha256" and len(value) == 64 and value.isascii() and value.isalnum():
            found.append(store / "blobs" / f"sha256-{value}")
    return found


def _contents(store: Path, layers: tuple[_Layer, ...], kind: str) -> list[bytes | None]:
    """Of small layers; None: not to be had."""
    paths = _blobs(store, layers, kind)
    missing = len(_named(layers, kind)) - len(paths)
    return [*map(_content, paths), *[None] * missing]


def _content(file: Path) -> bytes | None:
    try:
        if not file.is_file() or file.stat().st_size > MAX_MANIFEST:
            return None
        return file.read_bytes()
    except OSError:
        return None
