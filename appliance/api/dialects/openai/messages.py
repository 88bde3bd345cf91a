"""OpenAI's messages. Fields that aren't here are ignored."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from appliance.api.wire.lenient import Lenient
from appliance.engine.types import CalledFunction, ChatMessage, ToolCall
from appliance.errors import RequestError


class TextPart(Lenient, kw_only=True, frozen=True, tag="text", tag_field="type"):
    """A piece of text in a message."""

    text: str

    def shown(self, path: str) -> str:
        """What the model is shown."""
        return self.text


class RefusalPart(Lenient, kw_only=True, frozen=True, tag="refusal", tag_field="type"):
    """An assistant's refusal, which is text like any other."""

    refusal: str

    def shown(self, path: str) -> str:
        """What the model is shown."""
        return self.refusal


class ForeignPart(Lenient, kw_only=True, frozen=True, tag_field="type"):
    """What the models here can't be shown."""

    def shown(self, path: str) -> str:
        """Raises RequestError, always."""
        raise RequestError(f"{path}: this model cannot {self.WHAT}", param=path)

    WHAT = "read this"


class ImagePart(ForeignPart, kw_only=True, frozen=True, tag="image_url"):
    """An image."""

    WHAT = "see images"


class AudioPart(ForeignPart, kw_only=True, frozen=True, tag="input_audio"):
    """A recording."""

    WHAT = "hear recordings"


class FilePart(ForeignPart, kw_only=True, frozen=True, tag="file"):
    """A file."""

    WHAT = "read files"


class VideoPart(ForeignPart, kw_only=True, frozen=True, tag="video_url"):
    """A film."""

    WHAT = "see films"


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart | VideoPart


class CalledFunctionIn(Lenient, kw_only=True, frozen=True):
    """The function of a call, and the JSON text of its arguments."""

    name: str
    arguments: str


class ToolCallIn(Lenient, kw_only=True, frozen=True):
    """A tool call in an assistant's message."""

    id: str
    function: CalledFunctionIn
    type: Literal["function"] = "function"

    def to_engine(self) -> ToolCall:
        """For the engine."""
        return ToolCall(self.id, CalledFunction(self.function.name, self.function.arguments))


class MessageIn(Lenient, kw_only=True, frozen=True):
    """A chat message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    """`function`: as `tool`, of OpenAI's older API."""
    content: str | list[Part] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | None = None
    """Another name of `reasoning_content`."""
    refusal: str | None = None
    """OpenAI's replies have this field and the next two, so they come back in a history."""
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    function_call: CalledFunctionIn | None = None
    """The one call of OpenAI's older API."""
    tool_calls: Annotated[list[ToolCallIn], Meta(max_length=512)] | None = None
    tool_call_id: str | None = None

    def to_engine(self, path: str, before: Sequence[ChatMessage] = ()) -> ChatMessage:
        """For the engine; `path` names the message in errors, `before` are those before it.

        Raises:
            RequestError: it lacks a field that its role needs, or has what no model here reads.
        """
        if self.content is None and self.role != "assistant":
            raise RequestError(f"{path}.content is missing", param=f"{path}.content")
        call_id = self.tool_call_id
        if self.role == "function":
            call_id = old_call_id(self.name)
        elif self.role == "tool":
            call_id = call_id or _call_id(self.name, before)
        if self.role == "tool" and not call_id:
            raise RequestError(f"{path}.tool_call_id is missing", param=f"{path}.tool_call_id")
        if self.role == "function" and not self.name:
            raise RequestError(f"{path}.name is missing", param=f"{path}.name")
        calls = [call.to_engine() for call in self.tool_calls or ()]
        if self.function_call:
            given = self.function_call
            calls.append(ToolCall(old_call_id(given.name), CalledFunction(*_both(given))))
        role = {"developer": "system", "function": "tool"}.get(self.role, self.role)
        thought = self.reasoning if isinstance(self.reasoning, str) else None
        return ChatMessage(
            role,
            self._text(path),
            name=self.name,
            reasoning_content=self.reasoning_content or thought,
            tool_calls=calls or None,
            tool_call_id=call_id,
        )

    def _text(self, path: str) -> str:
        content = self.content or ""
        if isinstance(content, str):
            return content
        return "".join(part.shown(f"{path}.content[{i}]") for i, part in enumerate(content))


def old_call_id(name: str | None) -> str:
    """Of a call of OpenAI's older API, in which results go by the function's name."""
    return f"call_{name}"


def _call_id(name: str | None, before: Sequence[ChatMessage]) -> str | None:
    """Of the last call of that function: Ollama's clients leave the id out."""
    calls = (call for message in reversed(before) for call in reversed(message.tool_calls or []))
    return next((call.id for call in calls if call.function.name == name), None)


def _both(called: CalledFunctionIn) -> tuple[str, str]:
    return called.name, called.arguments
