"""Models by Ollama's names, and how long they are kept."""

import time
from typing import Protocol

import falcon

from appliance.api.dialects.ollama.schemas import KeptModel
from appliance.api.generation.keeping import keep, seconds_of
from appliance.auth.keys.scopes import Caller
from appliance.engine.serving.model_names import comparable
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.errors import ModelLoadFailed, ModelNotFound
from appliance.models.local.summary import LocalModel
from appliance.store.callers.derived_models import DerivedModel, DerivedModels

POLL_SECONDS = 0.05
LONGEST_LOAD_SECONDS = 600.0


class ModelInventory(Protocol):
    """Where models are described and deleted."""

    def offered(self) -> list[LocalModel]:
        """All that take requests, the default first."""

    def offered_as(self, name: str) -> LocalModel:
        """The model with that id or name. Raises ModelNotFound."""

    def delete(self, name: str) -> None:
        """Delete a model's files. Raises ModelNotFound, Conflict."""


class OllamaPool:
    """The pool, with Ollama's words, and the models that were made of others."""

    def __init__(self, pool: Pool, derived: DerivedModels) -> None:
        self._pool = pool
        self.derived = derived

    def resolve(self, name: str) -> tuple[ServedModel, DerivedModel | None]:
        """The model of that name, with a tag or without, and what it was made with if it was made
        of another.

        Raises:
            ModelNotFound: there is none.
        """
        try:
            return self._pool.find(name), None
        except ModelNotFound as ex:
            made = self.derived.find(comparable(name))
            if made is None:
                raise not_found(name) from ex
        try:
            return self._pool.find(made.base), made
        except ModelNotFound as ex:
            raise ModelNotFound(
                f"model '{name}' not found: it was made of {made.base}, which is gone",
                param="model",
            ) from ex

    def find(self, name: str) -> ServedModel:
        """The model that answers to that name. Raises as `resolve` does."""
        return self.resolve(name)[0]

    def is_taken(self, name: str) -> bool:
        """Whether a model or an alias has that name already."""
        try:
            self._pool.find(name)
        except ModelNotFound:
            return False
        return True

    def keep(self, model: ServedModel, body: KeptModel, caller: Caller) -> str | None:
        """Keep a model as long as a request asks for; returns a sentence if the caller may not say
        that.

        Raises:
            RequestError: it is no duration.
        """
        wanted = None if body.keep_alive is None else seconds_of(body.keep_alive)
        return keep(model, wanted, caller, "keep_alive")

    def load(self, model: ServedModel) -> None:
        """Returns when it is loaded.

        Raises:
            ModelLoadFailed, Unavailable: it cannot be.
        """
        model.load()
        deadline = time.monotonic() + LONGEST_LOAD_SECONDS
        while (state := model.state).status == "loading" and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if state.status == "failed":
            raise ModelLoadFailed(state.detail or f"{model.id} cannot be loaded", param="model")

    def unload(self, model: ServedModel, caller: Caller) -> bool:
        """Free its memory if nobody uses it and the caller may do that; whether that was done."""
        return caller.may("manage") and self._pool.unload_idle(model)

    def seconds_left(self, model: ServedModel) -> float:
        """Until it is unloaded if nobody asks for it; infinite: never."""
        return self._pool.keeps(model) - (time.monotonic() - model.last_used)


def not_found(name: str) -> ModelNotFound:
    """In Ollama's words, which clients look for."""
    return ModelNotFound(f"model '{name}' not found", param="model")


def caller_of(req: falcon.Request) -> Caller:
    """Who asks."""
    caller: Caller = req.context.caller
    return caller
