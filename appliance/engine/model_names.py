"""Which model a name refers to: an id, a name, as other programs write it, or none at all."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from appliance.engine.base import Engine, ModelSpec
from appliance.errors import ModelLoadFailed, ModelNotDownloaded


class Named(Protocol):
    """A model on offer."""

    @property
    def spec(self) -> ModelSpec: ...


N = TypeVar("N", bound=Named)


def named(models: Sequence[N], name: str) -> N | None:
    """The model with that id, or else with that name, or with one that comes to the same."""
    same = _comparable(name)
    return (
        next((m for m in models if m.spec.id == name), None)
        or next((m for m in models if m.spec.name == name or name in m.spec.aliases), None)
        or next((m for m in models if same in map(_comparable, _names(m.spec))), None)
    )


def _names(spec: ModelSpec) -> tuple[str, ...]:
    return (spec.id, spec.name, *spec.aliases)


def _comparable(id: str) -> str:
    """As names are compared that fit no id: clients of Ollama's API add a tag, and some change
    letters."""
    return id.casefold().removesuffix(":latest")


class Loadable(Protocol):
    """A model, and what became of loading it."""

    spec: ModelSpec
    engine: Engine | None
    load_refused: tuple[float, ModelLoadFailed] | None


M = TypeVar("M", bound=Loadable)


def is_missing(model: Loadable) -> bool:
    """Whether its file is not on this machine; looks at the disk."""
    if model.engine is not None:
        return False
    try:
        model.spec.file()
    except ModelNotDownloaded:
        return True
    except ModelLoadFailed:
        return False
    return False


def default_of(models: Sequence[M]) -> M:
    """The first model, or what stands in for it since loading it found that it is missing."""
    first = models[0]
    refused = first.load_refused
    if first.engine is not None or refused is None:
        return first
    if not isinstance(refused[1], ModelNotDownloaded):
        return first
    return next((model for model in models if model.spec.stands_in), first)
