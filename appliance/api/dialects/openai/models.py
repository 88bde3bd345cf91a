"""OpenAI's API: models."""

import time
from typing import Protocol

import falcon
from msgspec import UNSET

from appliance.api.dialects.openai.answers import (
    AgentFitness,
    ModelArchitecture,
    ModelMeta,
    ModelObject,
    ModelObjects,
)
from appliance.api.openapi.operation import Operations
from appliance.engine.serving.pool import ServedModel
from appliance.models.local.abilities import capabilities
from appliance.models.local.summary import LocalModel

operation = Operations("OpenAI")


PARAMETERS = (
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty"),
    *("presence_penalty", "seed", "stop", "max_tokens", "logit_bias", "logprobs", "top_logprobs"),
    *("response_format", "structured_outputs"),
)
"""OpenRouter's names of what every model takes that writes text."""


def _parameters(can: list[str]) -> list[str]:
    tools = ["tools", "tool_choice"] if "tools" in can else []
    return [*tools, *(["reasoning", "include_reasoning"] if "thinking" in can else [])]


class OfferedModels(Protocol):
    """Where the models that take requests are listed."""

    def offered(self) -> list[LocalModel]:
        """All of them, the default first."""

    def offered_as(self, name: str) -> LocalModel:
        """The model with that id or name. Raises ModelNotFound."""

    def described(self, model: ServedModel) -> LocalModel:
        """One that takes requests, found without looking at the folders again."""


class OpenAIModels:
    """`GET /v1/models` and `GET /v1/models/{id}`"""

    def __init__(self, models: OfferedModels, *, names: bool = False) -> None:
        """`names`: they are listed once more by their names, as the original service does."""
        self._models = models
        self._names = names
        self._since = int(time.time())

    @operation(gives=ModelObjects)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All models on offer, the default first; also those whose file is still missing."""
        data = [self._object(model) for model in self._models.offered()]
        names = [model.name for model in data] if self._names else UNSET
        resp.media = ModelObjects(data=data, models=names)

    @operation(gives=ModelObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """One model, by id or name, which may have a slash."""
        resp.media = self._object(self._models.offered_as(model))

    def _object(self, known: LocalModel) -> ModelObject:
        context = known.n_ctx or known.context_length
        can = capabilities(embeds=known.embeds, tools=known.tools, thinks=known.thinks)
        return ModelObject(
            max_model_len=context,
            max_context_length=context,
            context_window=context,
            type="embeddings" if known.embeds else "llm",
            capabilities=can,
            architecture=ModelArchitecture(
                output_modalities=("embeddings",) if known.embeds else ("text",)
            ),
            supported_parameters=[] if known.embeds else [*PARAMETERS, *_parameters(can)],
            meta=ModelMeta(
                n_ctx=context,
                n_ctx_train=known.context_length,
                n_params=known.parameters,
                size=known.size,
            ),
            aliases=list(known.aliases),
            agents=AgentFitness(fit=not known.not_for_agents, detail=known.not_for_agents),
            id=known.id,
            created=self._since,
            name=known.name,
            context_length=context,
            quantization=known.quantization,
            device=known.device or "",
            loaded=known.status == "ready",
            downloaded=known.downloaded,
            detail=known.detail,
        )
