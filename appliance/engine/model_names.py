"""What models are called: by id, by name, and as other programs write it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from appliance.engine.base import ModelSpec


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
