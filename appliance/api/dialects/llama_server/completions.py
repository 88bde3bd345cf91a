"""llama-server's API: completions and texts that are filled in."""

import falcon

from appliance.api.dialects.llama_server.answers import LlamaPiece
from appliance.api.dialects.llama_server.encoder import LlamaEncoder
from appliance.api.dialects.llama_server.schemas import InfillRequest, LlamaCompletionRequest
from appliance.api.dialects.openai.completions import CompletionEndpoint
from appliance.api.dialects.openai.schemas import OpenAIRequest
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import check_length
from appliance.api.wire.lenient import decode_lenient
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import InfillPrompt, TextPrompt, TokenPrompt
from appliance.http.errors import ErrorAnswer

operation = Operations("llama-server")


class _LlamaEndpoint(CompletionEndpoint):
    def _encoder(self, body: OpenAIRequest, model: ServedModel) -> LlamaEncoder:
        return LlamaEncoder(model.id, body.params(self.max_tokens, model.spec.sampling))


class LlamaCompletion(_LlamaEndpoint):
    """`POST /completion`"""

    @operation(
        takes=LlamaCompletionRequest,
        gives=LlamaPiece,
        streams=(LlamaPiece, ErrorAnswer),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The continuation of a prompt, streamed or whole."""
        body, ignored = decode_lenient(req, LlamaCompletionRequest)
        given = body.prompt
        if isinstance(given, str):
            check_length("prompt", len(given), self.max_prompt_length)
        prompt = TextPrompt(given) if isinstance(given, str) else TokenPrompt(given)
        model = self.pool.find(body.model)
        self.answer(req, resp, body, model, [prompt], self._encoder(body, model), ignored)


class LlamaInfill(_LlamaEndpoint):
    """`POST /infill`"""

    @operation(
        takes=InfillRequest, gives=LlamaPiece, streams=(LlamaPiece, ErrorAnswer), errors=(404,)
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What comes between two texts, by a model that has tokens for that."""
        body, ignored = decode_lenient(req, InfillRequest)
        files = [(it.filename, it.text) for it in body.input_extra or ()]
        prefix = body.input_prefix + body.prompt
        length = len(prefix) + len(body.input_suffix) + sum(len(text) for _, text in files)
        check_length("input_prefix", length, self.max_prompt_length)
        prompt = InfillPrompt(prefix, body.input_suffix, files, param="input_suffix")
        model = self.pool.find(body.model)
        self.answer(req, resp, body, model, [prompt], self._encoder(body, model), ignored)
