"""A conversation made shorter by the model: `POST /v1/responses/compact`."""

import time
from collections.abc import Sequence

import falcon

from appliance.api.dialects.responses.items import input_items, new_response_id, plain_content
from appliance.api.dialects.responses.prompts import Prompts
from appliance.api.dialects.responses.schemas import (
    CompactedResponse,
    CompactRequest,
    InputTokensDetails,
    OutputTokensDetails,
    ResponseUsage,
)
from appliance.api.generation.encoder import ReplyCollector
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import with_defaults
from appliance.api.openapi.operation import Operations
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.protocol import SequenceEvent
from appliance.engine.serving.pool import Pool
from appliance.engine.types import ChatPrompt, GenerationRequest
from appliance.errors import ApplianceError

operation = Operations("OpenAI")

SUMMARY_TOKENS = 1024
ASK = (
    "Summarize this conversation for whoever goes on with it: what was asked for, what was done and"
    " found out, with names, numbers and paths, and what is still to do. Write the summary alone."
)


class Compaction:
    """`/v1/responses/compact`"""

    def __init__(self, pool: Pool, prompts: Prompts, limits: LimitsSettings) -> None:
        self._pool = pool
        self._prompts = prompts
        self._max_tokens = limits.max_response_tokens

    @operation(takes=CompactRequest, gives=CompactedResponse, errors=(404,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The messages of users, and a summary of all as an item `compaction`, which is given back
        as the beginning of the next request's input. Nothing is kept here."""
        body, ignored = decode_lenient(req, CompactRequest)
        caller: Caller = req.context.caller
        model = self._pool.find(body.model)
        id = new_response_id()
        items = input_items(body.input or [], id)
        conversation = self._prompts.conversation(
            caller.owner, body.previous_response_id, body.instructions, items
        )
        conversation.user(ASK)
        request = GenerationRequest(
            prompt=ChatPrompt(
                conversation.messages(), parse_output=True, effort="low", effort_is_wish=True
            ),
            sampling=with_defaults({}, SUMMARY_TOKENS, self._max_tokens, model.spec.sampling),
            owner=caller.owner,
            caller=caller.key_name,
        )
        generation = Generation(model, [request])
        reply = generation.run(_Whole(), req.env["appliance.on_disconnect"])
        end = reply.finished
        assert end
        summary = {
            "id": f"cmp_{id.removeprefix('resp_')}",
            "type": "compaction",
            "encrypted_content": plain_content(reply.text.strip()),
        }
        users = [item for item in items if item.get("role") == "user"]
        resp.media = CompactedResponse(
            id=id,
            created_at=int(time.time()),
            output=[*({"status": "completed", **item} for item in users), summary],
            usage=ResponseUsage(
                input_tokens=end.prompt_tokens,
                input_tokens_details=InputTokensDetails(cached_tokens=end.cached_tokens),
                output_tokens=end.completion_tokens,
                output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
                total_tokens=end.prompt_tokens + end.completion_tokens,
            ),
        )
        warn(resp, model.routing.warning_for(None), ignored)


class _Whole:
    """The reply as it is."""

    media_type = falcon.MEDIA_TEXT
    keep_alive: bytes | None = None

    def start(self) -> bytes:
        return b""

    def event(self, index: int, event: SequenceEvent) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""

    def error(self, error: ApplianceError) -> bytes:
        return b""

    def whole(self, replies: Sequence[ReplyCollector]) -> ReplyCollector:
        return replies[0]
