"""Chat messages → prompt text, by the model's own template, in a Jinja sandbox.

A template is part of a model file, and a model file is hostile input: it gets no attribute access,
no files and no mutable objects; time and memory are bounded by `sandbox`, which runs this in
a process of its own. What a person typed is hostile to the model: text that looks like one of its
special tokens stays text.
"""

import contextlib
import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import jinja2
import msgspec
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.engine.types import ChatMessage
from appliance.errors import RequestError
from appliance.worker.chat_template.acceptable import contains_all, forms
from appliance.worker.chat_template.messages import (
    for_template,
    takes_text,
    tools_for_template,
    wants_short_ids,
)
from appliance.worker.parsers.base import PromptSegment

MAX_TEMPLATE = 64 * 1024
"""Characters; no real template comes near it."""
MAX_MESSAGE = 500
"""Characters of a template's own error message."""

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""For models that carry no template."""

# Private-use characters stand for special-token text in messages while the template runs. Those
# that somebody typed are masked themselves, so that no mark can be forged.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARK = re.compile(f"{_OPEN}(\\d{{1,9}}){_CLOSE}")


class ChatTemplate:
    """One model's template, compiled once."""

    def __init__(self, source: str, *, bos: str, eos: str, special_tokens: Iterable[str]) -> None:
        """`special_tokens`: the texts of the model's special tokens.

        Raises:
            ValueError: the template is too long or is no Jinja.
            MemoryError: there is not enough to compile it.
        """
        if len(source) > MAX_TEMPLATE:
            raise ValueError(f"the chat template has {len(source)} characters")
        environment = _Environment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            autoescape=False,
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        try:
            self._template = environment.from_string(source)
        except MemoryError:
            raise
        except Exception as ex:  # deep nesting fails in Python's own compiler
            raise ValueError(f"the chat template does not compile: {_message_of(ex)}") from ex
        self._tokens = {"bos_token": bos, "eos_token": eos}
        texts = sorted({*special_tokens, _OPEN, _CLOSE} - {""}, key=len, reverse=True)
        self._special_tokens = re.compile("|".join(map(re.escape, texts)))
        self._short_ids = wants_short_ids(source)
        self._text_arguments = "tool_calls" in source and self._takes_text_arguments()

    def render(
        self,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        *,
        as_is: bool = False,
    ) -> list[PromptSegment]:
        """The prompt up to where the assistant begins to speak.

        `messages` and `tools` have OpenAI's shape; `variables` are what else a template uses,
        such as `enable_thinking`. `as_is`: in no other form, see `acceptable`.

        Raises:
            RequestError: the template refuses these messages; `param` is `messages`.
            MemoryError: there is not enough to render them.
        """
        masked: list[str] = []
        given = for_template(
            msgspec.to_builtins(messages),
            text_arguments=self._text_arguments,
            short_ids=self._short_ids,
        )
        shown = self._mask(tools_for_template(tools or []), masked)
        context = {
            **_other_names(shown),
            **self._mask(dict(variables or {}), masked),
            "tools": shown,
            "add_generation_prompt": True,
            **self._tokens,
        }
        chat = self._mask(given, masked)
        text = (self._rendered if as_is else self._accepted)(chat, context)
        return _split(text, masked)

    def _accepted(self, chat: list[dict[str, Any]], context: dict[str, Any]) -> str:
        try:
            text = self._rendered(chat, context)
        except RequestError as ex:
            text = self._in_another_form(chat, context, ex)
        if not contains_all(text, chat):
            # Some pass over all system messages but one.
            for form in forms(chat):
                with contextlib.suppress(RequestError):
                    other = self._rendered(form, context)
                    if contains_all(other, chat):
                        return other
        return text

    def _in_another_form(
        self, chat: list[dict[str, Any]], context: dict[str, Any], refusal: RequestError
    ) -> str:
        """What the template refused, in a form that it takes."""
        contexts = [context]
        if context["tools"] is None:  # some were written for chats with tools alone
            contexts.append({**context, "tools": []})
        for given in contexts:
            for form in [chat, *forms(chat)]:
                try:
                    return self._rendered(form, given)
                except RequestError:
                    continue
        raise refusal

    def _rendered(self, chat: list[dict[str, Any]], context: dict[str, Any]) -> str:
        try:
            return self._template.render(context, messages=_Given(chat))
        except MemoryError:
            raise
        except jinja2.TemplateError as ex:
            raise RequestError(
                f"the model's chat template refuses these messages: {_message_of(ex)}",
                param="messages",
            ) from ex
        except Exception as ex:  # a template may raise anything, such as a division by zero
            raise RequestError(
                f"the model's chat template failed: {type(ex).__name__}: {_message_of(ex)}",
                param="messages",
            ) from ex

    def _mask(self, value: Any, masked: list[str]) -> Any:
        """The same value with marks for special-token text, wherever it stands."""

        def mark(match: re.Match[str]) -> str:
            masked.append(match.group())
            return f"{_OPEN}{len(masked) - 1}{_CLOSE}"

        def mask(value: Any) -> Any:
            if isinstance(value, str):
                return self._special_tokens.sub(mark, value)
            if isinstance(value, dict):
                return {mask(key): mask(item) for key, item in value.items()}
            if isinstance(value, list):
                return [mask(item) for item in value]
            return value

        return mask(value)

    def _takes_text_arguments(self) -> bool:
        try:
            return takes_text(lambda probe: self._template.render(self._tokens, messages=probe))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is raised when a tool is called
            return False


class _Given(list[Any]):
    """What a template was given, and leaves as it is."""


class _Environment(ImmutableSandboxedEnvironment):
    """Some templates gather things in lists of their own, as Kimi's do."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        own = type(obj) is list and attr in ("append", "pop")
        return own or super().is_safe_attribute(obj, attr, value)


class _Generation(Extension):
    """`{% generation %}`, which marks the model's own text for training: here, nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _other_names(tools: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Tools by the names that SmolLM3's and FireFunction's templates have for them."""
    listed = [tool["function"] for tool in tools or []]
    names = {"functions": _tojson(listed, indent=4), "datetime": _strftime_now("%d %b %Y")}
    return names | {"xml_tools": listed} if listed else names


def _split(text: str, masked: list[str]) -> list[PromptSegment]:
    segments: list[PromptSegment] = []
    end = 0
    for match in _MARK.finditer(text):
        number = int(match.group(1))
        if number < len(masked):  # a template can write marks as well
            segments.append((text[end : match.start()], True))
            segments.append((masked[number], False))
            end = match.end()
    segments.append((text[end:], True))
    return [segment for segment in segments if segment[0]]


def _message_of(ex: Exception) -> str:
    """An exception's message, in a form that can be sent anywhere."""
    return str(ex)[:MAX_MESSAGE].encode("utf-8", "replace").decode()


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.datetime.now().astimezone().strftime(format)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,  # noqa: ARG001 - escaped marks could not be found
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes HTML characters, which models were not trained on.
    return json.dumps(
        value,
        ensure_ascii=False,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> list[Any]:
    """What some filters of Jinja's make instead of a list."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
