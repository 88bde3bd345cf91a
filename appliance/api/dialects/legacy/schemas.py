"""Bodies of the original service's clients, read as leniently as its server did.

Names are in snake or kebab case, unknown ones are ignored, and numbers out of range are brought
into it. A body is refused only if a value has another type.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from appliance.api.chat.schemas import TurnIn
from appliance.api.generation.sampling import Sampling, Tokens
from appliance.api.wire import lenient
from appliance.api.wire.bodies import decode_json
from appliance.config.schema import DEVICE_PATTERN, DeviceName
from appliance.engine.types import ChatMessage
from appliance.errors import RequestError
from appliance.store.settings import Settings

DEFAULTS = Settings(max_tokens=512, temperature=0.7, top_p=0.95, top_k=10, repeat_penalty=1.0)
"""What holds where a request, its chat and the default profile say nothing."""
LONGEST_ID = 4096
"""Characters."""
_MOST_TOKENS = 2**31 - 1
_MOST_STOPS, _LONGEST_STOP = 16, 256


class GivenMessage(msgspec.Struct, frozen=True):
    """An entry of `messages`."""

    role: str
    content: str


class LegacyRequest(Sampling, kw_only=True, frozen=True):
    """The body of the original service's requests. Names may be in kebab case as well."""

    prompt: str
    model_name: str | None = None
    session_id: str | None = None
    """Chosen by the client, any text; a session is created if it names none."""
    max_token: Tokens | None = None
    """512 if it is not given."""
    system_prompt: str | None = None
    messages: tuple[GivenMessage, ...] = ()
    """System messages are the system prompt; without a session, the others are the chat."""
    stream: bool | None = None
    """Of `/completions`: plain text, piece by piece."""
    device: DeviceName | None = None
    """Where the model should run. A response header warns if it runs elsewhere."""
    warning: str | None = None

    def requested_tokens(self) -> int | None:
        return self.max_token or self.max_tokens

    def turn(self) -> TurnIn:
        """As a turn of a session."""
        sampling = {name: getattr(self, name) for name in Sampling.__struct_fields__}
        sampling["max_tokens"] = self.requested_tokens()
        return TurnIn(
            content=self.prompt,
            model=self.model_name,
            device=self.device,
            system_prompt=self.system_prompt,
            **sampling,
        )

    def with_defaults(self) -> "LegacyRequest":
        """The same, with the service's defaults where it says nothing."""
        missing = {
            name: value
            for name in ("temperature", "top_p", "top_k", "repeat_penalty")
            if getattr(self, name) is None and (value := getattr(DEFAULTS, name)) is not None
        }
        if self.requested_tokens() is None:
            missing["max_token"] = DEFAULTS.max_tokens
        return msgspec.structs.replace(self, **missing)

    def chat(self) -> list[ChatMessage]:
        """As a chat that is stored nowhere."""
        system = [ChatMessage("system", self.system_prompt)] if self.system_prompt else []
        given = [ChatMessage(m.role, m.content) for m in self.messages if m.role != "system"]
        return [*system, *(given or [ChatMessage("user", self.prompt)])]


_OWN_FIELDS = {"model_name", "session_id", "max_token", "system_prompt", "device", "model_dir"}


def has_own_fields(fields: dict[str, msgspec.Raw]) -> bool:
    """Whether a body can only be the original service's."""
    return any(name.replace("-", "_") in _OWN_FIELDS or "-" in name for name in fields)


def is_legacy_chat(fields: dict[str, msgspec.Raw]) -> bool:
    """Whether a body of `/chat/completions` is the original service's, and not OpenAI's."""
    return "prompt" in fields and ("messages" not in fields or has_own_fields(fields))


def legacy_request(fields: dict[str, msgspec.Raw], session_id: str = "") -> LegacyRequest:
    """Decode a body of the original service; `session_id` is used if it names none.

    Raises:
        RequestError: a value has the wrong type, or the prompt is missing; `param` names it.
    """
    given: dict[str, Any] = {}
    ignored: list[str] = []
    for name, raw in fields.items():
        plain = name.replace("-", "_")
        value = decode_json(bytes(raw), Any)
        if value is None:
            continue
        if plain == "model_dir" or plain == "warning" or plain not in _FIELDS:
            ignored.append(lenient.shown(name))
            continue
        value = _READERS[plain](plain, value) if plain in _READERS else value
        if value is None:
            ignored.append(plain)
        else:
            given[plain] = value
    request: LegacyRequest = decode_json(msgspec.json.encode(given), LegacyRequest)
    changes: dict[str, Any] = {"session_id": request.session_id or session_id or None}
    if request.system_prompt is None:
        systems = [m.content for m in request.messages if m.role == "system" and m.content]
        changes["system_prompt"] = "\n\n".join(systems) or None
    changes["warning"] = lenient.ignored(ignored)
    if len(changes["session_id"] or "") > LONGEST_ID:
        raise RequestError(
            f"session_id may have {LONGEST_ID} characters at most", param="session_id"
        )
    return msgspec.structs.replace(request, **changes)


_FIELDS = frozenset(LegacyRequest.__struct_fields__)

Read = Callable[[str, Any], Any]
"""A field's value by its name and JSON value; None: as if it were not there."""


def _between(low: float, high: float, *, whole: bool = False) -> Read:
    """A number, brought into the range."""

    def read(name: str, value: Any) -> float | int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RequestError(f"{name}: needs a number", param=name)
        bounded = min(max(value, low), high)
        return int(bounded) if whole else bounded

    return read


def _tokens(name: str, value: Any) -> int | None:
    return int(_between(0, _MOST_TOKENS, whole=True)(name, value)) or None


def _top_p(name: str, value: Any) -> float:
    share = _between(-1, 2)(name, value)
    return share if 0 <= share < 1 else 1.0


def _repeat_penalty(name: str, value: Any) -> float:
    penalty = _between(0, 10)(name, value)
    return max(penalty, 0.1) if penalty else 1.0


def _stop(name: str, value: Any) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestError(f"{name}: needs a list of texts", param=name)
    usable = [text for text in texts if 0 < len(text) <= _LONGEST_STOP]
    return usable[:_MOST_STOPS]


def _device(_name: str, value: Any) -> str | None:
    known = isinstance(value, str) and re.fullmatch(DEVICE_PATTERN, value)
    return value.lower() if known else None


def _messages(name: str, value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise RequestError(f"{name}: needs a list of messages", param=name)
    roles = ("system", "user", "assistant")
    return [
        {
            "role": role if (role := str(entry.get("role")).lower()) in roles else "user",
            "content": entry["content"],
        }
        for entry in value
        if isinstance(entry, dict) and isinstance(entry.get("content"), str)
    ]


_READERS: dict[str, Read] = {
    "max_token": _tokens,
    "max_tokens": _tokens,
    "temperature": _between(0, 2),
    "top_p": _top_p,
    "top_k": _between(0, _MOST_TOKENS, whole=True),
    "min_p": _between(0, 1),
    "repeat_penalty": _repeat_penalty,
    "frequency_penalty": _between(-2, 2),
    "presence_penalty": _between(-2, 2),
    "stop": _stop,
    "device": _device,
    "messages": _messages,
}
