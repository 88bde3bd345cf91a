"""A growing response: its items, and the events that report them."""

import time
from typing import Any

import msgspec

from appliance.api.responses.schemas import (
    IncompleteDetails,
    InputTokensDetails,
    OfferedTools,
    OutputTokensDetails,
    ResponseFault,
    ResponseObject,
    ResponseStatus,
    ResponseUsage,
)
from appliance.engine.protocol import CallDelta, Delta, Failed, Finished, SequenceEvent

EVENTS = (
    *("response.created", "response.in_progress"),
    *("response.output_item.added", "response.output_item.done"),
    *("response.content_part.added", "response.content_part.done"),
    *("response.output_text.delta", "response.output_text.done"),
    *("response.reasoning_text.delta", "response.reasoning_text.done"),
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

    def __init__(self, head: ResponseObject, tools: OfferedTools) -> None:
        """`head`: the response before it has any output."""
        self.response = head
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
            out += self._piece("reasoning", "response.reasoning_text.delta", delta.reasoning)
        if delta.text:
            out += self._piece("message", "response.output_text.delta", delta.text)
        for call in delta.calls:
            out += self._call_piece(call)
        return out

    def _piece(self, kind: str, name: str, text: str) -> list[NamedEvent]:
        out: list[NamedEvent] = []
        if self._item is None or self._item["type"] != kind:
            out += self._close("completed")
            extra: dict[str, Any] = {"summary": []}
            if kind == "message":
                extra = {"role": "assistant"}
            out += self._open(kind, {**extra, "content": []})
            out.append(self._at("response.content_part.added", content_index=0, part=self._part()))
        self._written += text
        fields: dict[str, Any] = {"content_index": 0, "delta": text}
        if kind == "message":
            fields["logprobs"] = []
        return [*out, self._at(name, **fields)]

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
        prefix = {"message": "msg", "reasoning": "rs", "function_call": "fc"}.get(kind, "ctc")
        number = len(self._output)
        id = f"{prefix}_{self.response.id.removeprefix('resp_')}{number:03}"
        self._item = {"id": id, "type": kind, "status": "in_progress", **fields}
        self._written = ""
        added = {"output_index": number, "item": dict(self._item)}
        return [("response.output_item.added", added)]

    def _part(self) -> dict[str, Any]:
        assert self._item
        if self._item["type"] == "reasoning":
            return {"type": "reasoning_text", "text": self._written}
        return {"type": "output_text", "text": self._written, "annotations": [], "logprobs": []}

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
            case kind:
                part = self._part()
                item["content"] = [part]
                fields: dict[str, Any] = {"content_index": 0, "text": text}
                if kind == "message":
                    fields["logprobs"] = []
                    out.append(self._at("response.output_text.done", **fields))
                else:
                    out.append(self._at("response.reasoning_text.done", **fields))
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
            completed_at=int(time.time()) if status == "completed" else None,
            output=list(self._output),
            **fields,
        )


def _custom_input(arguments: str) -> str:
    try:
        found = msgspec.json.decode(arguments, type=dict[str, Any]).get("input", "")
    except msgspec.DecodeError:  # the reply was cut before it was whole
        return arguments
    return found if isinstance(found, str) else arguments
