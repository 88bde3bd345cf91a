"""LM Studio's API: models, chats and completions."""

import falcon
from msgspec import UNSET

from appliance.api.dialects.lm_studio.answers import (
    LmStudioChat,
    LmStudioChunk,
    LmStudioModel,
    LmStudioModels,
    LmStudioText,
    Runtime,
    UsedModel,
)
from appliance.api.dialects.lm_studio.encoder import (
    Figures,
    LmStudioChatEncoder,
    LmStudioTextEncoder,
)
from appliance.api.dialects.openai.answers import ChatCompletionChunk, TextCompletion
from appliance.api.dialects.openai.completions import ChatCompletions, Completions
from appliance.api.dialects.openai.encoder import DONE_TEXT
from appliance.api.dialects.openai.models import OfferedModels
from appliance.api.dialects.openai.schemas import ChatCompletionRequest, CompletionRequest
from appliance.api.openapi.operation import Operations
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.http.errors import ErrorAnswer
from appliance.models.local.abilities import capabilities
from appliance.models.local.summary import LocalModel

operation = Operations("LM Studio")


class LmStudioModelResource:
    """`GET /api/v0/models` and `GET /api/v0/models/{id}`"""

    def __init__(self, models: OfferedModels) -> None:
        self._models = models

    @operation(gives=LmStudioModels)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The models on this machine and those of other servers, the default first."""
        known = [model for model in self._models.offered() if model.downloaded]
        resp.media = LmStudioModels(data=[_entry(model) for model in known])

    @operation(gives=LmStudioModel, errors=(404,))
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """One model, by id or name, which may have a slash."""
        resp.media = _entry(self._models.offered_as(model))


class _WithFigures:
    def __init__(self, models: OfferedModels, version: str) -> None:
        self._offered = models
        self._runtime = Runtime(name="appliance", version=version, supported_formats=["gguf"])

    def of(self, model: ServedModel) -> Figures:
        known = self._offered.described(model)
        return Figures(
            model_info=UsedModel(
                arch=known.architecture,
                quant=known.quantization,
                context_length=known.n_ctx or known.context_length,
            ),
            runtime=self._runtime,
        )


class LmStudioChats(ChatCompletions):
    """`POST /api/v0/chat/completions`"""

    def __init__(
        self, pool: Pool, models: OfferedModels, limits: LimitsSettings, version: str
    ) -> None:
        super().__init__(pool, models, limits)
        self._figures = _WithFigures(models, version)

    @operation(
        takes=ChatCompletionRequest,
        gives=LmStudioChat,
        streams=(ChatCompletionChunk, LmStudioChunk, ErrorAnswer, DONE_TEXT),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The next message of a chat, streamed or whole, with figures at the end."""
        super().on_post(req, resp)

    def encoder(self, body: ChatCompletionRequest, model: ServedModel) -> LmStudioChatEncoder:
        """OpenAI's, with figures."""
        found = LmStudioChatEncoder(
            self.called(body.model, model), include_usage=body.include_usage, n=body.n or 1
        )
        found.figures = self._figures.of(model)
        return found


class LmStudioCompletions(Completions):
    """`POST /api/v0/completions`"""

    def __init__(
        self, pool: Pool, models: OfferedModels, limits: LimitsSettings, version: str
    ) -> None:
        super().__init__(pool, limits)
        self._figures = _WithFigures(models, version)

    @operation(
        takes=CompletionRequest,
        gives=LmStudioText,
        streams=(TextCompletion, LmStudioText, ErrorAnswer, DONE_TEXT),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The continuation of each prompt, streamed or whole, with figures at the end."""
        super().on_post(req, resp)

    def encoder(
        self, body: CompletionRequest, model: ServedModel, echoed: list[str]
    ) -> LmStudioTextEncoder:
        """OpenAI's, with figures."""
        found = LmStudioTextEncoder(
            self.called(body.model, model),
            include_usage=body.include_usage,
            n=body.n or 1,
            echoed=echoed,
        )
        found.figures = self._figures.of(model)
        return found


def _entry(known: LocalModel) -> LmStudioModel:
    loaded = known.status in ("ready", "failing")
    can = capabilities(embeds=known.embeds, tools=known.tools, thinks=known.thinks)
    return LmStudioModel(
        id=known.id,
        type="embeddings" if known.embeds else "llm",
        publisher=known.repo.partition("/")[0] or "appliance",
        arch=known.architecture or "unknown",
        quantization=known.quantization or "unknown",
        state="loaded" if loaded else "loading" if known.status == "loading" else "not-loaded",
        max_context_length=known.context_length or known.n_ctx or 0,
        loaded_context_length=known.n_ctx if loaded and known.n_ctx else UNSET,
        capabilities=["tool_use"] if "tools" in can else [],
    )
