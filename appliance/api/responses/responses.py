"""OpenAI's Responses: created, retrieved, and continued."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import falcon
import msgspec
from structlog.contextvars import bind_contextvars

from appliance.api.generation.counting import count_prompt_tokens
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit
from appliance.api.openapi.operation import Operations
from appliance.api.responses.builder import EVENTS, ResponseBuilder
from appliance.api.responses.encoder import ResponseEncoder
from appliance.api.responses.items import Item, conversation_of, input_items
from appliance.api.responses.recorder import Recorder, Recorders
from appliance.api.responses.schemas import (
    DeletedResponse,
    InputTokens,
    ItemList,
    ItemsQuery,
    OfferedTools,
    ResponseFault,
    ResponseObject,
    ResponsesRequest,
)
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.pool import Pool, ServedModel
from appliance.engine.types import ChatPrompt, GenerationRequest
from appliance.errors import ApplianceError, NotFound, PreviousResponseNotFound, RequestError
from appliance.store.callers.responses import ResponseBook, StoredResponse

operation = Operations("OpenAI")


class Responses:
    """`/v1/responses` and below"""

    def __init__(self, pool: Pool, book: ResponseBook, limits: LimitsSettings) -> None:
        self._pool = pool
        self._book = book
        self._live = Recorders(book)
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length

    @operation(
        takes=ResponsesRequest,
        gives=ResponseObject,
        streams=dict.fromkeys(EVENTS, dict[str, Any]),
        errors=(404, 507),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A response to the input, streamed or whole.

        It is kept for 30 days unless `store` is false, only for the caller that created it.
        """
        body, ignored = decode_lenient(req, ResponsesRequest)
        if body.background and (body.stream or body.store is False):
            raise RequestError("background goes with store, and without stream", param="background")
        model = self._pool.find(body.model)
        if body.user:
            bind_contextvars(user=body.user)
        offered = body.offered()
        items = input_items(body.input)
        request = self._request(req, body, model, items, offered)
        head = _head(body, body.model or model.id)
        recorder = Recorder(request.owner, items, ResponseBuilder(head, offered))
        encoder = ResponseEncoder(ResponseBuilder(head, offered), recorder)
        generation = Generation(
            model,
            [request],
            single_tool_call=body.parallel_tool_calls is False,
            through=self._live.follow(recorder),
        )
        try:
            self._generate(req, resp, body, generation, encoder, recorder)
        except ApplianceError:
            self._live.forget(recorder)
            raise
        left_out = ", ".join(dict.fromkeys(offered.left_out))
        tools = f"tools left out: {left_out}" if left_out else None
        cut = ReplyLimit(body.max_output_tokens, self._max_tokens).warning(generation.accepted)
        warn(resp, model.routing.warning_for(None), cut, ignored, tools)

    def _generate(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: ResponsesRequest,
        generation: Generation,
        encoder: ResponseEncoder,
        recorder: Recorder,
    ) -> None:
        if body.background:
            self._begin(generation, recorder)
            resp.media = recorder.response
            return
        if body.stream:
            stream = generation.stream(encoder)
            recorder.cancel = stream.close
            streams.send(req, resp, stream)
            return

        def on_disconnect(cancel: Callable[[], None]) -> None:
            recorder.cancel = cancel
            req.env["appliance.on_disconnect"](cancel)

        resp.media = generation.run(encoder, on_disconnect)

    def _begin(self, generation: Generation, recorder: Recorder) -> None:
        """Generate without anybody who waits.

        Raises:
            ApplianceError: it cannot be stored, or was refused.
        """
        self._live.keep(recorder)
        try:
            feed = generation.submit()
            recorder.cancel = feed.close
            feed.wait_answered(streams.FIRST_EVENT_SECONDS)
        except ApplianceError:
            self._book.delete(recorder.owner, recorder.response.id)
            raise

    @operation(takes=ResponsesRequest, gives=InputTokens, errors=(404,))
    def on_post_tokens(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tokens of the whole prompt."""
        body, ignored = decode_lenient(req, ResponsesRequest)
        model: ServedModel = self._pool.find(body.model)
        request = self._request(req, body, model, input_items(body.input), body.offered())
        count = count_prompt_tokens(model, request, req.env["appliance.on_disconnect"])
        resp.media = InputTokens(input_tokens=count)
        warn(resp, ignored)

    @operation(gives=ResponseObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """A stored response, or one that is being generated."""
        live = self._live.find(_owner(req), response_id)
        resp.media = live.response if live else self._ended(req, response_id)

    @operation(gives=DeletedResponse)
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """Delete a stored response for good; one that is being generated ends."""
        if not self._live.delete(_owner(req), response_id):
            raise _not_found(response_id)
        resp.media = DeletedResponse(id=response_id)

    @operation(gives=ResponseObject)
    def on_post_cancel(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """End a response that is being generated; of one that has ended, that is it."""
        live = self._live.find(_owner(req), response_id)
        if live:
            live.cancel()
            resp.media = msgspec.structs.replace(live.response, status="cancelled")
        else:
            resp.media = self._ended(req, response_id)

    @operation(gives=ItemList, query=ItemsQuery)
    def on_get_items(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """What came with the request of a stored response, the last first."""
        query = _items_query(req)
        live = self._live.find(_owner(req), response_id)
        items: list[Item] = (
            live.items if live else msgspec.json.decode(self._stored(req, response_id).input)
        )
        if query.order == "desc":
            items = items[::-1]
        ids = [item["id"] for item in items]
        begin = ids.index(query.after) + 1 if query.after in ids else 0
        page = items[begin : begin + query.limit]
        resp.media = ItemList(
            data=page,
            first_id=page[0]["id"] if page else None,
            last_id=page[-1]["id"] if page else None,
            has_more=begin + query.limit < len(items),
        )

    def _ended(self, req: falcon.Request, id: str) -> ResponseObject:
        """A stored response. One that is still in progress, and not being generated, never ends."""
        found = msgspec.json.decode(self._stored(req, id).response, type=ResponseObject)
        if found.status != "in_progress":
            return found
        why = ResponseFault(
            code="server_error", message="the appliance ended before this response did"
        )
        return msgspec.structs.replace(found, status="failed", error=why)

    def _stored(self, req: falcon.Request, id: str) -> StoredResponse:
        found = self._book.find(_owner(req), id)
        if found is None:
            raise _not_found(id)
        return found

    def _request(
        self,
        req: falcon.Request,
        body: ResponsesRequest,
        model: ServedModel,
        items: list[Item],
        offered: OfferedTools,
    ) -> GenerationRequest:
        caller: Caller = req.context.caller
        before = self._before(caller.owner, body.previous_response_id)
        conversation = conversation_of(body.instructions, [*before, *items])
        check_length("input", conversation.length, self._max_prompt_length)
        tools, choice = offered.choose(body.tool_choice)
        prompt = ChatPrompt(
            conversation.messages(),
            parse_output=True,
            tools=tools or None,
            tool_choice=choice,  # type: ignore[arg-type]
            effort=body.reasoning.effort if body.reasoning else None,
            effort_is_wish=True,
            continue_final=conversation.ends_with_beginning,
            trim=body.truncation == "auto",
        )
        return GenerationRequest(
            prompt=prompt,
            sampling=body.sampling(self._max_tokens, model.spec.sampling),
            owner=caller.owner,
            caller=caller.key_name,
        )

    def _before(self, owner: str, id: str | None) -> list[Item]:
        """The items of the responses before this one, with the model's output."""
        if id is None:
            return []
        if self._live.find(owner, id):
            raise RequestError(
                f"Previous response with id '{id}' is still in progress.",
                param="previous_response_id",
            )
        chain = self._book.chain(owner, id)
        if chain is None:
            raise PreviousResponseNotFound(
                f"Previous response with id '{id}' not found.", param="previous_response_id"
            )
        found: list[Item] = []
        for one in chain:
            found += msgspec.json.decode(one.input)
            found += msgspec.json.decode(one.response)["output"]
        return found


def _owner(req: falcon.Request) -> str:
    caller: Caller = req.context.caller
    return caller.owner


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id '{id}' not found.", param="response_id")


def _items_query(req: falcon.Request) -> ItemsQuery:
    known = {name: req.params[name] for name in ItemsQuery.__struct_fields__ if name in req.params}
    try:
        return msgspec.convert(known, ItemsQuery, strict=False)
    except msgspec.ValidationError as ex:
        raise RequestError(str(ex)) from ex


def _head(body: ResponsesRequest, model: str) -> ResponseObject:
    """The response before it has any output."""
    format = body.text.format if body.text and body.text.format else None
    reasoning = body.reasoning
    shown = msgspec.to_builtins(format) if format else {"type": "text"}
    tools = [
        {name: value for name, value in msgspec.to_builtins(tool).items() if value is not None}
        for tool in body.tools or ()
    ]
    return ResponseObject(
        id=f"resp_{secrets.token_hex(24)}",
        created_at=int(time.time()),
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        model=model,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        previous_response_id=body.previous_response_id,
        reasoning={
            "effort": reasoning.effort if reasoning else None,
            "summary": reasoning.summary if reasoning else None,
        },
        store=body.store is not False,
        temperature=body.temperature,
        text={"format": {name: it for name, it in shown.items() if it is not None}},
        tool_choice=msgspec.to_builtins(body.tool_choice) or "auto",
        tools=tools,
        top_p=body.top_p,
        truncation=body.truncation or "disabled",
        user=body.user,
        background=bool(body.background),
        metadata=body.metadata or {},
    )
