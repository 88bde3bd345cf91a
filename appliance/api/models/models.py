"""The models on this machine: a list with their states, loading and unloading."""

import logging
from collections.abc import Iterable

import falcon
import msgspec

from appliance.api.openapi.operation import Operations
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.errors import ModelNotFound
from appliance.metrics.process_memory import of_model
from appliance.models.library import ModelLibrary
from appliance.models.local.index import ModelFile, remove
from appliance.models.local.summary import LocalModel, RuntimeState, summarize

log = logging.getLogger(__name__)

operation = Operations("Models")


class LocalModels(msgspec.Struct, frozen=True):
    """All models, the default first."""

    models: list[LocalModel]


class ModelsResource:
    """`/api/models` and below"""

    def __init__(self, pool: Pool, library: ModelLibrary) -> None:
        self._pool = pool
        self._index = library.index
        self._machine = library.machine
        self._install_hints = library.install_hints

    @operation(gives=LocalModels)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All models, after scanning their folders again."""
        self._index.refresh()
        resp.media = LocalModels(list(self._all()))

    @operation(gives=LocalModel)
    def on_get_one(
        self, req: falcon.Request, resp: falcon.Response, model: str, rest: str = ""
    ) -> None:
        """One model."""
        self._index.refresh()
        resp.media = self._one(_name(model, rest))

    @operation(gives=LocalModel, status=202)
    def on_post_load(
        self, req: falcon.Request, resp: falcon.Response, model: str, rest: str = ""
    ) -> None:
        """Start loading a model; 503 if it can't be loaded or there is no room."""
        found = self._pool.find(_name(model, rest))
        found.load()
        self._accepted(resp, found.id)

    @operation(gives=LocalModel, status=202)
    def on_post_unload(
        self, req: falcon.Request, resp: falcon.Response, model: str, rest: str = ""
    ) -> None:
        """Unload a model; its running requests fail."""
        found = self._pool.find(_name(model, rest))
        found.unload()
        self._accepted(resp, found.id)

    @operation(status=204, errors=(409,))
    def on_delete_one(
        self, req: falcon.Request, resp: falcon.Response, model: str, rest: str = ""
    ) -> None:
        """Delete a model's files, if they are in the appliance's own folder."""
        self.delete(_name(model, rest))
        resp.status = falcon.HTTP_204

    def delete(self, name: str) -> None:
        """Delete a model's files.

        Raises:
            ModelNotFound: there is none.
            Conflict: they are not in the appliance's own folder, or cannot be removed.
        """
        self._index.refresh(at_once=True)
        entry = self._index.find(name) or self._index.find(self._pool.find(name).id)
        if entry is None:
            raise ModelNotFound(f"the model {name!r} has no file here", param="model")
        remove(entry, before=lambda: self._unload(entry.id))
        self._index.refresh(at_once=True)

    def offered(self) -> list[LocalModel]:
        """The models that accept requests, after scanning their folders again."""
        self._index.refresh()
        return [self._summary(it, self._index.find(it.id)) for it in self._pool.models()]

    def offered_as(self, name: str) -> LocalModel:
        """The model with that id or name. Raises ModelNotFound."""
        self._index.refresh()
        model = self._pool.find(name)
        return self._summary(model, self._index.find(model.id))

    def described(self, model: ServedModel) -> LocalModel:
        """One that takes requests; its folder is looked at only if its file is not known."""
        if self._index.find(model.id) is None:
            self._index.refresh()
        return self._summary(model, self._index.find(model.id))

    def _unload(self, id: str) -> None:
        for model in self._pool.models():
            if model.id == id:
                model.unload()

    def _accepted(self, resp: falcon.Response, id: str) -> None:
        resp.status = falcon.HTTP_202
        resp.media = self._one(id)

    def _one(self, name: str) -> LocalModel:
        known = {model.id: model for model in self._all()}
        return known.get(name) or known[self._pool.find(name).id]

    def _all(self) -> Iterable[LocalModel]:
        models = self._pool.models()
        for model in models:
            yield self._summary(model, self._index.find(model.id))
        offered = {model.id for model in models}
        for entry in self._index.entries():
            if entry.id not in offered:
                yield self._summary(None, entry)

    def _summary(self, model: ServedModel | None, entry: ModelFile | None) -> LocalModel:
        """Whatever is wrong with one model, the list has the others."""
        known = model or entry
        assert known
        try:
            return self._whole_summary(known, model, entry)
        except Exception as ex:
            log.exception("%s cannot be described", known.id)
            return summarize(
                known.id,
                known.name,
                None,
                machine=self._machine,
                install_hint=None,
                loaded=RuntimeState(status="failed", detail=f"it cannot be described: {ex}"),
                default=False,
            )

    def _whole_summary(
        self, known: ServedModel | ModelFile, model: ServedModel | None, entry: ModelFile | None
    ) -> LocalModel:
        return summarize(
            known.id,
            known.name,
            entry,
            machine=self._machine,
            install_hint=self._install_hints.get(known.id),
            loaded=_loaded(model) if model else RuntimeState(),
            use=of_model(model) if model else None,
            default=model in self._pool.models()[:1],
            aliases=self._pool.aliases.of(model.spec) if model else (),
        )


def _loaded(model: ServedModel) -> RuntimeState:
    state = model.state
    info = state.model
    return RuntimeState(
        status="unloaded" if state.word == "stopped" else state.word,
        progress=state.progress,
        detail=state.trouble or state.detail,
        n_ctx=info.n_ctx if info else None,
        device=info.device if info else None,
        warning=model.routing.warning,
    )


def _name(model: str, rest: str) -> str:
    """Ids may contain a slash, as names on the hub do."""
    return f"{model}/{rest}" if rest else model
