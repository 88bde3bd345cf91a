"""OpenAI's API: chat completions, completions, models."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import falcon
import msgspec

from appliance.api import sse
from appliance.api.answers import (
    ChatCompletion,
    ChatCompletionChunk,
    ModelObject,
    ModelObjects,
    TextCompletion,
)
from appliance.api.operation import Operations
from appliance.api.schemas import ChatCompletionRequest, CompletionRequest, OpenAIRequest, decode
from appliance.api.shapes import ChatShape, Reply, Shape, TextShape
from appliance.engine.pool import Model, Pool
from appliance.engine.protocol import (
    Delta,
    Failed,
    Finished,
    Prompt,
    SamplingParams,
    SequenceEvent,
    TextPrompt,
    TokenPrompt,
)
from appliance.errors import ApplianceError, RequestError, from_code
from appliance.security.access import Caller

operation = Operations("OpenAI")

FIRST_WORD_SECONDS = 10.0
"""How long the status line waits for the engine's first word; a loading model may take longer."""


MAX_CHOICES = 64
"""Of one request: prompts × n."""


class Completion:
    """One request: its sequences in the engine, and the objects that tell of them."""

    def __init__(
        self,
        model: Model,
        prompts: list[Prompt],
        sampling: SamplingParams,
        shape: Shape,
        *,
        n: int = 1,
        caller: Caller,
    ) -> None:
        """`n` choices for each prompt."""
        self._caller = caller
        self._model = model
        self._prompts = [prompt for prompt in prompts for _ in range(n)]
        self._samplings = [_nth(sampling, i) for _ in prompts for i in range(n)]
        self._shape = shape
        self._cancels: list[Callable[[], None]] = []
        self._finished: list[Finished] = []
        self._head = {
            "id": shape.id_prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model.id,
            "system_fingerprint": None,
        }

    def submit(self, sink: Callable[[int], Callable[[SequenceEvent], None]]) -> None:
        """Submit every prompt, or none: what an earlier one began is cancelled."""
        try:
            for index, prompt in enumerate(self._prompts):
                sampling = self._samplings[index]
                cancel = self._model.submit(
                    prompt,
                    sampling,
                    sink(index),
                    caller=self._caller.key_name,
                    owner=self._caller.owner,
                )
                self._cancels.append(cancel)
        except ApplianceError:
            self.cancel()
            raise

    def cancel(self) -> None:
        """End what has not ended."""
        for cancel in self._cancels:
            cancel()

    # -- streamed --------------------------------------------------------------------------------

    def stream(self, include_usage: bool) -> sse.SequenceStream:
        """Submit, wait for the first word, and return the stream."""
        begun: set[int] = set()

        def encode(index: int, event: SequenceEvent) -> bytes:
            if isinstance(event, Delta):
                choice = self._shape.delta(index, event, first=index not in begun)
                begun.add(index)
            elif isinstance(event, Finished):
                self._finished.append(event)
                choice = self._shape.last(index, _reason(event))
            else:
                return b""
            return sse.event(self._chunk([choice]))

        def end() -> bytes:
            return sse.event(self._chunk([], self.usage())) if include_usage else b""

        stream = sse.SequenceStream(len(self._prompts), encode, end, self.cancel)
        self.submit(stream.sink)
        stream.wait_answered(FIRST_WORD_SECONDS)
        return stream

    def _chunk(
        self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        kind = self._shape.chunk_name
        return {**self._head, "object": kind, "choices": choices, "usage": usage}

    # -- whole -----------------------------------------------------------------------------------

    def run(self, on_disconnect: Callable[[Callable[[], None]], None]) -> dict[str, Any]:
        """Submit, wait for the end, and return the object."""
        replies = [Reply() for _ in self._prompts]
        failures: list[Failed] = []
        done = threading.Semaphore(0)

        def sink(index: int) -> Callable[[SequenceEvent], None]:
            def take(event: SequenceEvent) -> None:
                if isinstance(event, Delta):
                    replies[index].add(event)
                elif isinstance(event, Finished):
                    replies[index].reason = _reason(event)
                    self._finished.append(event)
                    done.release()
                elif isinstance(event, Failed):
                    failures.append(event)
                    done.release()

            return take

        self.submit(sink)
        on_disconnect(self.cancel)
        for _ in self._prompts:
            done.acquire()
            if failures:
                self.cancel()
                failed = failures[0]
                raise from_code(failed.code, failed.message, failed.param)
        choices = [self._shape.whole(index, reply) for index, reply in enumerate(replies)]
        return {
            **self._head,
            "object": self._shape.whole_name,
            "choices": choices,
            "usage": self.usage(),
        }

    def usage(self) -> dict[str, Any]:
        """Tokens of all sequences together."""
        prompt = sum(event.prompt_tokens for event in self._finished)
        completion = sum(event.completion_tokens for event in self._finished)
        cached = sum(event.cached_tokens for event in self._finished)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {
                "cached_tokens": cached,
                "cached_from": next((e.cached_from for e in self._finished if e.cached_from), None),
            },
        }


class _Completions:
    """What both endpoints do with a completion."""

    def __init__(self, pool: Pool, max_response_tokens: int, max_prompt_length: int) -> None:
        """The two limits are those of `[limits]`: tokens and characters."""
        self._pool = pool
        self._max_tokens = max_response_tokens
        self._max_prompt_length = max_prompt_length

    def _answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: OpenAIRequest,
        prompts: list[Prompt],
        shape: Shape,
    ) -> None:
        model = self._pool.find(body.model)
        if body.stream_options and not body.stream:
            raise RequestError("stream_options goes with stream", param="stream_options")
        n = body.n or 1
        if len(prompts) * n > MAX_CHOICES:
            raise RequestError(f"more than {MAX_CHOICES} choices are wanted", param="n")
        info = model.state.model
        if info and info.warning:
            resp.set_header("X-Appliance-Warning", info.warning)
        completion = Completion(
            model, prompts, body.params(self._max_tokens), shape, n=n, caller=req.context.caller
        )
        if body.stream:
            usage = bool(body.stream_options and body.stream_options.include_usage)
            sse.send(req, resp, completion.stream(usage))
        else:
            whole = completion.run(req.env["appliance.on_disconnect"])
            resp.data = msgspec.json.encode(whole)
            resp.content_type = falcon.MEDIA_JSON

    def _check_length(self, length: int, param: str) -> None:
        if length > self._max_prompt_length:
            raise RequestError(
                f"{param} has {length} characters, at most {self._max_prompt_length} are allowed",
                param=param,
            )


class ChatCompletions(_Completions):
    """`POST /v1/chat/completions`"""

    @operation(takes=ChatCompletionRequest, gives=ChatCompletion, streams=ChatCompletionChunk)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The messages' next one, streamed or whole."""
        body = decode(req, ChatCompletionRequest)
        prompt = body.prompt()
        self._check_length(sum(len(message.content) for message in prompt.messages), "messages")
        self._answer(req, resp, body, [prompt], ChatShape())


class Completions(_Completions):
    """`POST /v1/completions`"""

    @operation(takes=CompletionRequest, gives=TextCompletion, streams=TextCompletion)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Each prompt's continuation, streamed or whole."""
        body = decode(req, CompletionRequest)
        prompts = _prompts(body)
        for prompt in prompts:
            if isinstance(prompt, TextPrompt):
                self._check_length(len(prompt.text), "prompt")
        self._answer(req, resp, body, prompts, TextShape())


class Models:
    """`GET /v1/models` and `GET /v1/models/{id}`"""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._since = int(time.time())

    @operation(gives=ModelObjects)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All models."""
        data = [self._object(model) for model in self._pool.models()]
        resp.data = msgspec.json.encode(ModelObjects(data=data))
        resp.content_type = falcon.MEDIA_JSON

    @operation(gives=ModelObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """One model, by id or name."""
        resp.data = msgspec.json.encode(self._object(self._pool.find(model)))
        resp.content_type = falcon.MEDIA_JSON

    def _object(self, model: Model) -> ModelObject:
        return ModelObject(id=model.id, created=self._since)


def _prompts(body: CompletionRequest) -> list[Prompt]:
    prompt = body.prompt
    if isinstance(prompt, str):
        return [TextPrompt(prompt)]
    tokens = [item for item in prompt if isinstance(item, int)]
    if tokens:
        if len(tokens) != len(prompt):
            raise RequestError("prompt mixes tokens and texts", param="prompt")
        return [TokenPrompt(tokens)]
    if len(prompt) > MAX_CHOICES:
        raise RequestError(f"prompt has more than {MAX_CHOICES} entries", param="prompt")
    return [
        TextPrompt(item) if isinstance(item, str) else TokenPrompt(item)
        for item in prompt
        if not isinstance(item, int)
    ]


def _nth(sampling: SamplingParams, number: int) -> SamplingParams:
    """For the choice with that number: another seed, so that the choices differ."""
    if sampling.seed is None:
        return sampling
    return msgspec.structs.replace(sampling, seed=(sampling.seed + number) % 2**32)


def _reason(event: Finished) -> str:
    # A cancelled request has nobody who could read the reason.
    return "stop" if event.reason == "cancelled" else event.reason
