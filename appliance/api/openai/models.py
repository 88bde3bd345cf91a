"""OpenAI's API: models."""

import time
from typing import Protocol

import falcon

from appliance.api.openai.answers import ModelObject, ModelObjects
from appliance.api.openapi.operation import Operations
from appliance.models.local.summary import LocalModel

operation = Operations("OpenAI")


class OfferedModels(Protocol):
    """Where the models that take requests are listed."""

    def offered(self) -> list[LocalModel]:
        """All of them, the default first."""

    def offered_as(self, name: str) -> LocalModel:
        """The model with that id or name. Raises ModelNotFound."""


class OpenAIModels:
    """`GET /v1/models` and `GET /v1/models/{id}`"""

    def __init__(self, models: OfferedModels) -> None:
        self._models = models
        self._since = int(time.time())

    @operation(gives=ModelObjects)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All models on offer, the default first; also those whose file is still missing."""
        data = [self._object(model) for model in self._models.offered()]
        resp.media = ModelObjects(data=data, models=[model.name for model in data])

    @operation(gives=ModelObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """One model, by id or name, which may have a slash."""
        resp.media = self._object(self._models.offered_as(model))

    def _object(self, known: LocalModel) -> ModelObject:
        return ModelObject(
            id=known.id,
            created=self._since,
            name=known.name,
            context_length=known.n_ctx or known.context_length,
            quantization=known.quantization,
            device=known.device or "",
            loaded=known.status == "ready",
            downloaded=known.downloaded,
            detail=known.detail,
        )
