"""The models of the configuration, each with its engine."""

from collections.abc import Iterable

import msgspec

from appliance.engine.client import Engine
from appliance.errors import ModelNotFound


class ModelEntry(msgspec.Struct, frozen=True):
    """A model that the configuration lists."""

    id: str
    name: str
    engine: Engine


class Pool:
    """Finds the engine of a model. The first model is the default."""

    def __init__(self, models: Iterable[ModelEntry]) -> None:
        """At least one model."""
        self._models = list(models)

    def models(self) -> list[ModelEntry]:
        """All of them, the default first."""
        return list(self._models)

    def find(self, name: str | None) -> ModelEntry:
        """The model with that id or name; None: the default.

        Raises:
            ModelNotFound: there is none; `param` is `model`.
        """
        if name is None:
            return self._models[0]
        for model in self._models:
            if name in (model.id, model.name):
                return model
        known = ", ".join(model.id for model in self._models)
        raise ModelNotFound(f"there is no model {name!r}; there are: {known}", param="model")

    def forget(self, session: str) -> None:
        """A session was deleted: no model keeps anything of it."""
        for model in self._models:
            model.engine.forget(session)

    def start(self) -> None:
        """Begin to load; returns at once."""
        for model in self._models:
            model.engine.start()

    def close(self) -> None:
        """End all workers."""
        for model in self._models:
            model.engine.close()
