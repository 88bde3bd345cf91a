"""A growing response: its items, and the events that report them."""

import time
from typing import Any

import msgspec

from appliance.api.dialects.responses.items import item_id, plain_content
from appliance.api.dialects.responses.schemas import (
    IncompleteDetails,
    InputTokensDetails,
    OfferedTools,
    OutputTokensDetails,
    ResponseFault,
    ResponseObject,
    ResponseStatus,
    ResponseUsage,
)
from appliance.engine.protocol import (
    CallDelta,
    Delta,
    Failed,
    Finished,
    Logprobs,
    SequenceEvent,
    TokenLogprob,
)

EVENTS = (
    *("response.created", "response.in_progress"),
    *("response.output_item.added", "response.output_item.done"),
    *("response.content_part.added", "response.content_part.done"),
    *("response.output_text.delta", "response.output_text.done"),
    *("response.reasoning_text.delta", "response.reasoning_text.done"),
    *("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
    *("response.reasoning_summary_text.delta", "response.reasoning_summary_text.done"),
    *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
    *("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"),
    *("response.completed", "response.incomplete", "response.failed", "error"),
)
"""Names of all there are."""

NamedEvent = tuple[str, dict[str, Any]]
"""An event's name, and its fields without type and number."""

_ENDS: dict[str, ResponseStatus] = {"length": "incomplete", "cancelled": "cancelled"}


class ResponseBuilder:
    """Builds a response from the events of one sequence; equal events give equal responses."""

    def __init__(
        self, head: ResponseObject, tools: OfferedTools, *, encrypted: bool = False
    ) -> None:
        """
        Args:
            head: the response before it has any output.
            tools: that were offered.
            encrypted: reasoning is repeated as `encrypted_content`.
        """
        self.response = head
        self.completed_at: int | None = None
        """When it was, as others know; None: now."""
        self._summary = head.reasoning.get("summary") not in (None, "none")
        self._encrypted = encrypted
        self._logprobs: list[dict[str, Any]] = []
        self._tools = tools
        self._output: list[dict[str, Any]] = []
        self._item: dict[str, Any] | None = None
        self._written = ""
        self._reasoning_tokens = 0

    def begin(self) -> list[NamedEvent]:
        """The two first events."""
        head = {"response": self.response}
        return [("response.created", head), ("response.in_progress", head)]

    def add(self, event: SequenceEvent) -> list[NamedEvent]:
        """The next event of the sequence."""
        match event:
            case Delta():
                return self._delta(event)
            case Finished():
                return self._finish(event)
            case Failed():
                return self.fail(event.code, event.message)
            case _:
                return []

    def not_stored(self) -> None:
        """It could not be kept."""
        self.response = msgspec.structs.replace(self.response, store=False)

    def fail(self, code: str, message: str) -> list[NamedEvent]:
        """It ends with an error."""
        self._end("failed", error=ResponseFault(code=code, message=message))
        return [("response.failed", {"response": self.response})]

    def _delta(self, delta: Delta) -> list[NamedEvent]:
        out: list[NamedEvent] = []
        if delta.reasoning:
            self._reasoning_tokens = delta.tokens
            out += self._thought_piece(delta.reasoning)
        if delta.text:
            out += self._text_piece(delta.text, delta.logprobs or [])
        for call in delta.calls:
            out += self._call_piece(call)
        return out

    def _thought_piece(self, text: str) -> list[NamedEvent]:
        out: list[NamedEvent] = []
        if self._item is None or self._item["type"] != "reasoning":
            out += self._close("completed")
            out += self._open("reasoning", {"summary": [], "content": []})
            out.append(self._at(f"{self._thought_part}.added", part=self._part(), **self._index))
        self._written += text
        return [*out, self._at(f"{self._thought_text}.delta", delta=text, **self._index)]

    @property
    def _thought_part(self) -> str:
        return "response.reasoning_summary_part" if self._summary else "response.content_part"

    @property
    def _thought_text(self) -> str:
        return f"response.reasoning_{'summary_' if self._summary else ''}text"

    @property
    def _index(self) -> dict[str, int]:
        return {"summary_index" if self._summary else "content_index": 0}

    def _text_piece(self, text: str, logprobs: list[Logprobs]) -> list[NamedEvent]:
        out: list[NamedEvent] = []
        if self._item is None or self._item["type"] != "message":
            out += self._close("completed")
            out += self._open("message", {"role": "assistant", "content": []})
            out.append(self._at("response.content_part.added", content_index=0, part=self._part()))
        self._written += text
        found = [_shown_logprobs(one) for one in logprobs]
        self._logprobs += found
        name = "response.output_text.delta"
        return [*out, self._at(name, content_index=0, delta=text, logprobs=found)]

    def _call_piece(self, call: CallDelta) -> list[NamedEvent]:
        out: list[NamedEvent] = []
        if call.id is not None:
            out += self._close("completed")
            name = call.name or ""
            custom = self._tools.is_custom(name)
            kind, text = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
            out += self._open(kind, {"call_id": call.id, **self._tools.names_of(name), text: ""})
        if call.arguments and self._item:
            self._written += call.arguments
            if self._item["type"] == "function_call":
                name = "response.function_call_arguments.delta"
                out.append(self._at(name, delta=call.arguments))
        return out

    def _open(self, kind: str, fields: dict[str, Any]) -> list[NamedEvent]:
        number = len(self._output)
        id = item_id(kind, self.response.id, f"{number:03}")
        self._item = {"id": id, "type": kind, "status": "in_progress", **fields}
        self._written, self._logprobs = "", []
        added = {"output_index": number, "item": dict(self._item)}
        return [("response.output_item.added", added)]

    def _part(self) -> dict[str, Any]:
        assert self._item
        if self._item["type"] == "reasoning":
            kind = "summary_text" if self._summary else "reasoning_text"
            return {"type": kind, "text": self._written}
        return {
            "type": "output_text",
            "text": self._written,
            "annotations": [],
            "logprobs": list(self._logprobs),
        }

    def _at(self, event: str, /, **fields: Any) -> NamedEvent:
        assert self._item
        return event, {"item_id": self._item["id"], "output_index": len(self._output), **fields}

    def _close(self, status: str) -> list[NamedEvent]:
        item = self._item
        if item is None:
            return []
        text = self._written
        out: list[NamedEvent] = []
        match item["type"]:
            case "function_call":
                item["arguments"] = text or "{}"
                name = "response.function_call_arguments.done"
                out.append(self._at(name, name=item["name"], arguments=item["arguments"]))
            case "custom_tool_call":
                item["input"] = _custom_input(text)
                name = "response.custom_tool_call_input"
                out.append(self._at(f"{name}.delta", delta=item["input"]))
                out.append(self._at(f"{name}.done", input=item["input"]))
            case "reasoning":
                part = self._part()
                item["summary" if self._summary else "content"] = [part]
                if self._encrypted:
                    item["encrypted_content"] = plain_content(text)
                out.append(self._at(f"{self._thought_text}.done", text=text, **self._index))
                out.append(self._at(f"{self._thought_part}.done", part=part, **self._index))
            case _:
                part = self._part()
                item["content"] = [part]
                done = {"text": text, "logprobs": part["logprobs"]}
                out.append(self._at("response.output_text.done", content_index=0, **done))
                out.append(self._at("response.content_part.done", content_index=0, part=part))
        item["status"] = status
        out.append(("response.output_item.done", {"output_index": len(self._output), "item": item}))
        self._output.append(item)
        self._item = None
        return out

    def _finish(self, event: Finished) -> list[NamedEvent]:
        status = _ENDS.get(event.reason, "completed")
        out = self._close("completed" if status == "completed" else "incomplete")
        total = event.prompt_tokens + event.completion_tokens
        usage = ResponseUsage(
            input_tokens=event.prompt_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=event.cached_tokens),
            output_tokens=event.completion_tokens,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=self._reasoning_tokens),
            total_tokens=total,
        )
        why = IncompleteDetails(reason="max_output_tokens") if status == "incomplete" else None
        self._end(status, usage=usage, incomplete_details=why)
        name = "response.completed" if status == "completed" else "response.incomplete"
        return [*out, (name, {"response": self.response})]

    def _end(self, status: ResponseStatus, **fields: Any) -> None:
        self.response = msgspec.structs.replace(
            self.response,
            status=status,
            completed_at=(self.completed_at or int(time.time())) if status == "completed" else None,
            output=list(self._output),
            **fields,
        )


def _custom_input(arguments: str) -> str:
    try:
        found = msgspec.json.decode(arguments, type=dict[str, Any]).get("input", "")
    except msgspec.DecodeError:  # the reply was cut before it was whole
        return arguments
    return found if isinstance(found, str) else arguments


def _shown_logprobs(entry: Logprobs) -> dict[str, Any]:
    return {**_shown_token(entry.token), "top_logprobs": [_shown_token(it) for it in entry.top]}


def _shown_token(found: TokenLogprob) -> dict[str, Any]:
    text = found.text.decode("utf-8", "replace")
    return {"token": text, "bytes": list(found.text), "logprob": found.logprob}
