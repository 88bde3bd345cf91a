"""llama-server's API: a model's vocabulary and chat template, and how well texts fit together."""

import falcon
import msgspec

from appliance.api.dialects.llama_server.answers import (
    DetokenizedText,
    RankedDocument,
    RankedList,
    RankedResult,
    RankUsage,
    RenderedPrompt,
    TextScore,
    TokenList,
    TokenPiece,
)
from appliance.api.dialects.llama_server.schemas import (
    DetokenizeIn,
    RerankRequest,
    TemplateIn,
    TokenizeIn,
)
from appliance.api.dialects.openai.schemas import ChatCompletionRequest
from appliance.api.generation.embedding import embed, floats, read_text
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import check_length, decode_json, read_json
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.engine.protocol import TextResult
from appliance.engine.serving.pool import Pool
from appliance.engine.types import EmbedRequest, TextPrompt, TextRequest

operation = Operations("llama-server")


class Tokens:
    """`/tokenize`, `/detokenize` and `/apply-template`"""

    def __init__(self, pool: Pool, max_prompt_length: int) -> None:
        """`max_prompt_length`: characters, see `[limits]`."""
        self._pool = pool
        self._max_prompt_length = max_prompt_length

    @operation(takes=TokenizeIn, gives=TokenList, errors=(404,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The tokens of a text."""
        body, ignored = decode_lenient(req, TokenizeIn)
        check_length("content", len(body.content), self._max_prompt_length)
        done = self._read(
            req,
            body.model,
            TextRequest(
                kind="tokenize",
                text=body.content,
                add_special=body.add_special,
                parse_special=body.parse_special,
            ),
        )
        pairs = zip(done.tokens, done.pieces, strict=True)
        tokens: list[int | TokenPiece] = [*done.tokens]
        if body.with_pieces:
            tokens = [TokenPiece(id=token, piece=_piece(data)) for token, data in pairs]
        resp.media = TokenList(tokens=tokens)
        warn(resp, ignored)

    @operation(takes=DetokenizeIn, gives=DetokenizedText, errors=(404,))
    def on_post_back(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The text of tokens, with that of special ones."""
        body, ignored = decode_lenient(req, DetokenizeIn)
        wanted = TextRequest(kind="detokenize", tokens=body.tokens)
        resp.media = DetokenizedText(content=self._read(req, body.model, wanted).text)
        warn(resp, ignored)

    @operation(takes=TemplateIn, gives=RenderedPrompt, errors=(404,))
    def on_post_template(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A chat as the model sees it; takes all that `POST /v1/chat/completions` does."""
        raw = read_json(req)
        check_length("messages", len(raw), self._max_prompt_length)
        body: ChatCompletionRequest = decode_json(raw, ChatCompletionRequest)
        wanted = TextRequest(kind="render", prompt=body.prompt())
        resp.media = RenderedPrompt(prompt=self._read(req, body.model, wanted).text)

    def _read(self, req: falcon.Request, name: str | None, wanted: TextRequest) -> TextResult:
        request = msgspec.structs.replace(wanted, owner=req.context.caller.owner)
        return read_text(self._pool.find(name), request, req.env["appliance.on_disconnect"])


def _piece(data: bytes) -> str | list[int]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


class Rerank:
    """`/v1/rerank` and `/rerank`"""

    def __init__(self, pool: Pool, max_prompt_length: int) -> None:
        """`max_prompt_length`: characters of a text, see `[limits]`."""
        self._pool = pool
        self._max_prompt_length = max_prompt_length

    @operation(takes=RerankRequest, gives=(RankedList, list[TextScore]), errors=(404,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How well each document fits the query, the best first; by a model made for that."""
        body, ignored = decode_lenient(req, RerankRequest)
        texts = body.candidates()
        check_length("query", len(body.query), self._max_prompt_length)
        for number, text in enumerate(texts):
            check_length(
                f"documents[{number}]", len(text), self._max_prompt_length, param="documents"
            )
        model = self._pool.find(body.model)
        request = EmbedRequest(
            inputs=[TextPrompt(text) for text in texts],
            query=body.query,
            owner=req.context.caller.owner,
        )
        done = embed(model, request, req.env["appliance.on_disconnect"])
        scores = [floats(vector)[0] for vector in done.vectors]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.top_n]
        if body.documents is None:
            show = bool(body.return_text)
            resp.media = [
                TextScore(index=i, score=scores[i], text=texts[i] if show else msgspec.UNSET)
                for i in order
            ]
        else:
            resp.media = RankedList(
                model=model.id,
                results=[
                    RankedResult(
                        index=i,
                        relevance_score=scores[i],
                        document=RankedDocument(text=texts[i])
                        if body.return_documents
                        else msgspec.UNSET,
                    )
                    for i in order
                ],
                usage=RankUsage(prompt_tokens=done.prompt_tokens, total_tokens=done.prompt_tokens),
            )
        warn(resp, ignored)
