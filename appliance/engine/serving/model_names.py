"""Which model a name refers to: an id, a name, as other programs write it, or none at all."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from appliance.engine.base import Engine, ModelSpec
from appliance.errors import ModelLoadFailed, ModelNotDownloaded


class Named(Protocol):
    """A model on offer."""

    @property
    def spec(self) -> ModelSpec: ...


N = TypeVar("N", bound=Named)


class Aliases:
    """Names that the configuration gives to models: exact ones, and beginnings with a star."""

    def __init__(self, targets: Mapping[str, str] | None = None) -> None:
        """`targets`: an id or a name of a model, by alias."""
        self.targets = dict(targets or {})
        self._exact = {comparable(alias): it for alias, it in self.targets.items()}
        stars = [alias for alias in self._exact if alias.endswith("*")]
        self._stars = sorted(stars, key=len, reverse=True)

    def target(self, name: str) -> str | None:
        """What an alias stands for; None: it is none."""
        same = comparable(name)
        if same in self._exact and not same.endswith("*"):
            return self._exact[same]
        fitting = (star for star in self._stars if same.startswith(star[:-1]))
        return next((self._exact[star] for star in fitting), None)

    def of(self, spec: ModelSpec) -> tuple[str, ...]:
        """The aliases of a model."""
        names = set(map(comparable, _names(spec)))
        return tuple(it for it, target in self.targets.items() if comparable(target) in names)


def named(models: Sequence[N], name: str, aliases: Aliases | None = None) -> N | None:
    """The model with that id, or else with that name, or with one that comes to the same, or with
    that alias."""
    found = _named(models, name)
    target = aliases.target(name) if aliases and found is None else None
    return _named(models, target) if target else found


def _named(models: Sequence[N], name: str) -> N | None:
    same = comparable(name)
    return (
        next((m for m in models if m.spec.id == name), None)
        or next((m for m in models if m.spec.name == name or name in m.spec.aliases), None)
        or next((m for m in models if same in map(comparable, _names(m.spec))), None)
    )


def _names(spec: ModelSpec) -> tuple[str, ...]:
    return (spec.id, spec.name, *spec.aliases)


def comparable(id: str) -> str:
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
    except ModelLoadFailed as ex:
        return isinstance(ex, ModelNotDownloaded)
    return False


def was_missing(model: Loadable) -> bool:
    """Whether the last attempt to load it found that its file is not on this machine."""
    refused = model.load_refused
    return model.engine is None and bool(refused and isinstance(refused[1], ModelNotDownloaded))


def default_of(models: Sequence[M]) -> M:
    """The first model, or what stands in for it as long as it is missing; looks at the disk if
    nobody has tried to load it yet."""
    first = models[0]
    other = next((model for model in models if model.spec.stands_in), first)
    untried = first.engine is None and first.load_refused is None
    if was_missing(first) or (other is not first and untried and is_missing(first)):
        return other
    return first
