"""The two routes shared by OpenAI's API and the original service: the body decides."""

import time

import falcon
import msgspec

from appliance.api.dialects.legacy.errors import TextError, text_error
from appliance.api.dialects.legacy.requests import LegacyApi
from appliance.api.dialects.legacy.schemas import LegacyRequest, has_own_fields, is_legacy_chat
from appliance.api.dialects.openai.answers import (
    ChatCompletion,
    ChatCompletionChunk,
    TextCompletion,
)
from appliance.api.dialects.openai.completions import ChatCompletions, Completions
from appliance.api.dialects.openai.encoder import DONE_TEXT
from appliance.api.dialects.openai.schemas import ChatCompletionRequest, CompletionRequest
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode_fields, read_json
from appliance.api.wire.errors import ErrorFormat
from appliance.errors import RequestError
from appliance.http.errors import ErrorAnswer

operation = Operations("OpenAI")

ERRORS = (404, 409, 507)
"""Statuses: no such model, and what a turn of a session may fail with."""


ERROR = (ErrorAnswer, TextError)
"""By whose the body is."""


def _fields(req: falcon.Request) -> dict[str, msgspec.Raw]:
    """The body's, or none if it is not a JSON object."""
    try:
        return decode_fields(read_json(req))
    except (RequestError, falcon.HTTPError):
        return {}


class ChatCompletionsDispatcher:
    """`POST /v1/chat/completions`"""

    def __init__(self, openai: ChatCompletions, legacy: LegacyApi) -> None:
        self._openai = openai
        self._legacy = legacy

    @operation(
        takes=(ChatCompletionRequest, LegacyRequest),
        gives=ChatCompletion,
        streams=(ChatCompletionChunk, ErrorAnswer, DONE_TEXT, str),
        error=ERROR,
        errors=ERRORS,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The next message of a chat, streamed or whole.

        A body with `prompt` is the original service's: the answer is streamed plain text, and an
        error's `error` is a text.
        """
        fields = decode_fields(read_json(req))
        if is_legacy_chat(fields):
            self._legacy.answer_chat(req, resp, fields)
        else:
            self._openai.on_post(req, resp)

    @staticmethod
    def error_format_of(req: falcon.Request) -> ErrorFormat | None:
        """See `ErrorFormats`."""
        return text_error if is_legacy_chat(_fields(req)) else None


class TimedTextCompletion(TextCompletion, frozen=True, kw_only=True):
    """A complete response of `POST /v1/completions`, with the original service's fields."""

    text: str
    tokens: int
    """Tokens of the response."""
    duration_seconds: float
    tokens_per_second: float


class CompletionsDispatcher:
    """`POST /v1/completions`"""

    def __init__(self, openai: Completions, legacy: LegacyApi) -> None:
        self._openai = openai
        self._legacy = legacy

    @operation(
        takes=(CompletionRequest, LegacyRequest),
        gives=TimedTextCompletion,
        streams=(TextCompletion, ErrorAnswer, DONE_TEXT, str),
        error=ERROR,
        errors=ERRORS,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The continuation of each prompt, streamed or whole.

        A body with a field name of the original service alone (`model_name`, `max-token` …) is its:
        with a session, the prompt is a turn of it, and a stream is plain text. All others are
        OpenAI's, and a stream is OpenAI's chunks.
        """
        fields = decode_fields(read_json(req))
        if has_own_fields(fields):
            self._legacy.answer_text(req, resp, fields)
        else:
            self._openai.on_post(req, resp)
        if isinstance(resp.media, TextCompletion):
            resp.media = _timed(resp.media, time.monotonic() - req.context.began)

    @staticmethod
    def error_format_of(req: falcon.Request) -> ErrorFormat | None:
        """See `ErrorFormats`."""
        return text_error if has_own_fields(_fields(req)) else None


def _timed(whole: TextCompletion, seconds: float) -> TimedTextCompletion:
    assert whole.usage
    tokens = whole.usage.completion_tokens
    return TimedTextCompletion(
        **{name: getattr(whole, name) for name in TextCompletion.__struct_fields__},
        text=whole.choices[0].text,
        tokens=tokens,
        duration_seconds=round(seconds, 4),
        tokens_per_second=round(tokens / seconds, 2) if seconds > 0 else 0.0,
    )
