"""Anthropic's API: models."""

import datetime

import falcon

from appliance.api.dialects.anthropic.schemas import AnthropicModel, AnthropicModels
from appliance.api.dialects.openai.answers import ModelObject, ModelObjects
from appliance.api.dialects.openai.models import OfferedModels, OpenAIModels
from appliance.api.openapi.operation import Operations
from appliance.models.local.summary import LocalModel

operation = Operations("OpenAI")

VERSION_HEADER = "anthropic-version"
"""What every client of this API sends, and no other."""


class ModelsDispatcher:
    """`GET /v1/models` and `GET /v1/models/{id}`, which are Anthropic's and OpenAI's."""

    def __init__(self, openai: OpenAIModels, models: OfferedModels, most_tokens: int) -> None:
        """`most_tokens`: of a reply; 0: as many as the context holds."""
        self._openai = openai
        self._models = models
        self._most_tokens = most_tokens
        self._since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @operation(gives=(ModelObjects, AnthropicModels))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All models on offer, the default first; also those whose file is still missing.

        A request with `anthropic-version` gets Anthropic's form.
        """
        if req.get_header(VERSION_HEADER) is None:
            self._openai.on_get(req, resp)
            return
        data = [self._object(model) for model in self._models.offered()]
        ids = [model.id for model in data]
        resp.media = AnthropicModels(
            data=data, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None
        )

    @operation(gives=(ModelObject, AnthropicModel))
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """One model, by id or name, which may have a slash."""
        if req.get_header(VERSION_HEADER) is None:
            self._openai.on_get_one(req, resp, model)
        else:
            resp.media = self._object(self._models.offered_as(model))

    def _object(self, known: LocalModel) -> AnthropicModel:
        return AnthropicModel(
            id=known.id,
            display_name=known.name,
            created_at=self._since,
            max_input_tokens=(context := known.n_ctx or known.context_length),
            max_tokens=self._most_tokens or context,
        )
