"""Chat messages → prompt text, by the model's own template, in a Jinja sandbox.

A template is part of a model file, and a model file is hostile input: it gets no attribute access,
no files and no mutable objects. What a person typed is hostile to the model: text that looks like
one of its control tokens stays text.
"""

import datetime
import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.engine.protocol import ChatMessage
from appliance.errors import RequestError

MAX_TEMPLATE = 64 * 1024
"""Characters; no real template comes near it."""

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""For models that carry no template."""

Segment = tuple[str, bool]
"""Text, and whether control tokens in it are meant as such."""

# Private-use characters stand for control-token text in messages while the template runs.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class ChatTemplate:
    """One model's template, compiled once. Used by the intake thread."""

    def __init__(self, source: str, *, bos: str, eos: str, control: Iterable[str]) -> None:
        """`control`: the texts of the model's control tokens.

        Raises:
            ValueError: the template is too long or is no Jinja.
        """
        if len(source) > MAX_TEMPLATE:
            raise ValueError(f"the chat template has {len(source)} characters")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols], autoescape=False
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as ex:
            raise ValueError(f"the chat template does not compile: {ex}") from ex
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._control = sorted((text for text in set(control) if text), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._control)) or "(?!)")

    def render(self, messages: list[ChatMessage]) -> list[Segment]:
        """The prompt up to where the assistant begins to speak.

        Raises:
            RequestError: the template refuses these messages; `param` is `messages`.
        """
        masked: list[str] = []

        def mask(match: re.Match[str]) -> str:
            masked.append(match.group())
            return f"{_OPEN}{len(masked) - 1}{_CLOSE}"

        clean = [
            {
                "role": message.role,
                "content": self._pattern.sub(mask, _MARK.sub("", message.content)),
            }
            for message in messages
        ]
        try:
            text = self._template.render(messages=clean, add_generation_prompt=True, **self._tokens)
        except jinja2.TemplateError as ex:
            raise RequestError(
                f"the model's chat template refuses these messages: {ex}", param="messages"
            ) from ex
        except Exception as ex:  # a template may raise anything, such as a division by zero
            raise RequestError(
                f"the model's chat template failed: {type(ex).__name__}: {ex}", param="messages"
            ) from ex
        return _split(text, masked)


def _split(text: str, masked: list[str]) -> list[Segment]:
    segments: list[Segment] = []
    end = 0
    for match in _MARK.finditer(text):
        segments.append((text[end : match.start()], True))
        segments.append((masked[int(match.group(1))], False))
        end = match.end()
    segments.append((text[end:], True))
    return [segment for segment in segments if segment[0]]


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.datetime.now().astimezone().strftime(format)


def _tojson(value: Any, indent: int | None = None) -> str:
    # Jinja's own filter escapes HTML characters, which models were not trained on.
    return json.dumps(value, ensure_ascii=False, indent=indent)
