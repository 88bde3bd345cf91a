"""OpenAI's Responses: created, retrieved, and continued."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import falcon
import msgspec
from structlog.contextvars import bind_contextvars

from appliance.api.dialects.responses.builder import EVENTS
from appliance.api.dialects.responses.encoder import ResponseEncoder
from appliance.api.dialects.responses.follower import FollowingStream
from appliance.api.dialects.responses.items import Item, input_items, new_response_id
from appliance.api.dialects.responses.prompts import Prompts
from appliance.api.dialects.responses.recorder import Plan, Recorder
from appliance.api.dialects.responses.recorders import Recorders
from appliance.api.dialects.responses.schemas import (
    DeletedResponse,
    InputTokens,
    ItemList,
    ItemsQuery,
    OfferedTools,
    ResponseFault,
    ResponseObject,
    ResponseQuery,
    ResponsesRequest,
)
from appliance.api.generation.counting import count_prompt_tokens
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import Pool
from appliance.errors import ApplianceError, NotFound, RequestError, StoreError
from appliance.store.callers.responses import StoredResponse

log = logging.getLogger(__name__)

operation = Operations("OpenAI")

Query = TypeVar("Query", bound=msgspec.Struct)


class Responses:
    """`/v1/responses` and below"""

    def __init__(
        self, pool: Pool, live: Recorders, prompts: Prompts, limits: LimitsSettings
    ) -> None:
        self._pool = pool
        self._live = live
        self._prompts = prompts
        self._max_tokens = limits.max_response_tokens

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
        if body.background and body.store is False:
            raise RequestError("background goes with store", param="background")
        if body.input is None and not body.previous_response_id:
            raise RequestError("input is missing", param="input")
        model = self._pool.find(body.model)
        if body.user:
            bind_contextvars(user=body.user)
        offered = OfferedTools(body.tools or ())
        head = _head(body, body.model or model.id)
        items = input_items(body.input, head.id)
        request = self._prompts.request(req.context.caller, body, model, items, offered)
        plan = Plan(
            model=model.id,
            request=request,
            encrypted=body.includes("reasoning.encrypted_content"),
            streamed=bool(body.background and body.stream),
        )
        recorder = Recorder(request.owner, items, head, plan)
        generation = Generation(
            model,
            [request],
            single_tool_call=body.parallel_tool_calls is False,
            through=self._live.follow(recorder),
        )
        try:
            self._generate(req, resp, body, generation, recorder)
        except ApplianceError:
            self._live.forget(recorder)
            raise
        left_out = ", ".join(dict.fromkeys(offered.left_out))
        tools = f"tools left out: {left_out}" if left_out else None
        cut = ReplyLimit(body.max_output_tokens, self._max_tokens).warning(generation.accepted)
        device = model.routing.warning_for(None)
        warn(resp, device, cut, ignored, tools, body.not_included())

    def _generate(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: ResponsesRequest,
        generation: Generation,
        recorder: Recorder,
    ) -> None:
        if body.background:
            self._begin(generation, recorder)
            if body.stream:
                streams.send(req, resp, FollowingStream(recorder))
            else:
                resp.media = recorder.response
            return
        encoder = ResponseEncoder(recorder)
        if body.stream:
            stream = generation.stream(encoder)
            recorder.cancel = stream.close
            if recorder.head.store:
                self._store(recorder)
            streams.send(req, resp, stream)
            return

        def on_disconnect(cancel: Callable[[], None]) -> None:
            recorder.cancel = cancel
            req.env["appliance.on_disconnect"](cancel)

        resp.media = generation.run(encoder, on_disconnect)

    def _store(self, recorder: Recorder) -> None:
        """Before its client knows its id, so that it is there after a kill."""
        try:
            self._live.begin(recorder)
        except StoreError as ex:
            log.error("the response %s is not stored: %s", recorder.id, ex)

    def _begin(self, generation: Generation, recorder: Recorder) -> None:
        """Generate without anybody who waits.

        Raises:
            ApplianceError: it cannot be stored, or was refused.
        """
        feed = generation.submit()
        recorder.cancel = feed.close
        try:
            feed.wait_answered(streams.FIRST_EVENT_SECONDS)
            self._live.begin(recorder)
        except ApplianceError:
            recorder.deleted = True
            feed.close()
            raise

    @operation(takes=ResponsesRequest, gives=InputTokens, errors=(404,))
    def on_post_tokens(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tokens of the whole prompt."""
        body, ignored = decode_lenient(req, ResponsesRequest)
        model = self._pool.find(body.model)
        items = input_items(body.input, new_response_id())
        offered = OfferedTools(body.tools or ())
        request = self._prompts.request(req.context.caller, body, model, items, offered)
        count = count_prompt_tokens(model, request, req.env["appliance.on_disconnect"])
        resp.media = InputTokens(input_tokens=count)
        warn(resp, ignored)

    @operation(
        gives=ResponseObject,
        query=ResponseQuery,
        streams=dict.fromkeys(EVENTS, dict[str, Any]),
    )
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """A stored response, or one that is being generated; with `stream`, its events from any of
        them on."""
        query = _known_query(req, ResponseQuery)
        live = self._live.find(_owner(req), response_id)
        if not query.stream:
            resp.media = live.response if live else self._ended(req, response_id)
            return
        recorder = live or self._recorded(req, response_id)
        if not recorder.plan.streamed:
            raise RequestError(
                "only a response that was created with background and stream can be streamed again",
                param="stream",
            )
        after = -1 if query.starting_after is None else query.starting_after
        streams.send(req, resp, FollowingStream(recorder, after))

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
            self._live.cancel(live)
        if live and live.response.status == "in_progress":
            resp.media = msgspec.structs.replace(live.response, status="cancelled")
        else:
            resp.media = live.response if live else self._ended(req, response_id)

    @operation(gives=ItemList, query=ItemsQuery)
    def on_get_items(self, req: falcon.Request, resp: falcon.Response, response_id: str) -> None:
        """What came with the request of a stored response, the last first."""
        query = _known_query(req, ItemsQuery)
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

    def _recorded(self, req: falcon.Request, id: str) -> Recorder:
        """A response that has ended, with what was written of it."""
        stored = self._stored(req, id)
        ended = msgspec.json.decode(stored.response, type=ResponseObject)
        return Recorder.of_ended(_owner(req), ended, stored.log)

    def _stored(self, req: falcon.Request, id: str) -> StoredResponse:
        found = self._live.book.find(_owner(req), id)
        if found is None:
            raise _not_found(id)
        return found


def _owner(req: falcon.Request) -> str:
    caller: Caller = req.context.caller
    return caller.owner


def _not_found(id: str) -> NotFound:
    return NotFound(f"Response with id '{id}' not found.", param="response_id")


def _known_query(req: falcon.Request, kind: type[Query]) -> Query:
    """The query's fields that are known.

    Raises:
        RequestError: one is wrong.
    """
    known = {name: req.params[name] for name in kind.__struct_fields__ if name in req.params}
    try:
        return msgspec.convert(known, kind, strict=False)
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
        id=new_response_id(),
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
        top_logprobs=body.top_logprobs or 0,
        metadata=body.metadata or {},
    )
