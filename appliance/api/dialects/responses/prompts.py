"""Requests of the Responses API → what a model completes, with what stored responses add."""

from typing import Any

import msgspec

from appliance.api.dialects.responses.items import Item, conversation_of, response_of
from appliance.api.dialects.responses.recorders import Recorders
from appliance.api.dialects.responses.schemas import OfferedTools, ResponsesRequest
from appliance.api.generation.conversation import Conversation
from appliance.api.wire.bodies import check_length
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import ChatPrompt, GenerationRequest
from appliance.errors import PreviousResponseNotFound, RequestError


class Prompts:
    """Any thread may call."""

    def __init__(self, live: Recorders, limits: LimitsSettings) -> None:
        self._live = live
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length

    def request(
        self,
        caller: Caller,
        body: ResponsesRequest,
        model: ServedModel,
        items: list[Item],
        offered: OfferedTools,
    ) -> GenerationRequest:
        """What the model is to complete.

        Raises:
            RequestError: it cannot be shown that, or what it refers to is not there.
        """
        conversation = self.conversation(
            caller.owner, body.previous_response_id, body.instructions, items
        )
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

    def conversation(
        self, owner: str, previous_id: str | None, instructions: str | None, items: list[Item]
    ) -> Conversation:
        """The items of stored responses, and those that came with the request.

        Raises:
            RequestError: as `request` does.
        """
        before = self._before(owner, previous_id)
        given = [self._referred(owner, item, before) for item in items]
        found = conversation_of(instructions, [*before, *given])
        check_length("input", found.length, self._max_prompt_length)
        return found

    def _before(self, owner: str, id: str | None) -> list[Item]:
        """The items of the responses before this one, with the model's output."""
        if id is None:
            return []
        if self._live.find(owner, id):
            raise RequestError(
                f"Previous response with id '{id}' is still in progress.",
                param="previous_response_id",
            )
        chain = self._live.book.chain(owner, id)
        if chain is None:
            raise PreviousResponseNotFound(
                f"Previous response with id '{id}' not found.", param="previous_response_id"
            )
        found: list[Item] = []
        for one in chain:
            items = msgspec.json.decode(one.input)
            found += [self._referred(owner, item, found) for item in items]
            found += msgspec.json.decode(one.response)["output"]
        return found

    def _referred(self, owner: str, item: Item, before: list[Item]) -> Item:
        """What an `item_reference` refers to; itself, if that is not there."""
        id = item.get("id")
        if item.get("type") != "item_reference" or not isinstance(id, str):
            return item
        response_id = response_of(id)
        stored = self._live.book.find(owner, response_id) if response_id else None
        there: list[dict[str, Any]] = list(before)
        if stored:
            there += msgspec.json.decode(stored.input)
            there += msgspec.json.decode(stored.response)["output"]
        found = (one for one in there if one["id"] == id and one["type"] != "item_reference")
        return next(found, item)
