"""Errors as the original service wrote them: `{"error": "text"}`."""

import msgspec

from appliance.http.errors import ErrorObject

RATE_LIMIT = "rate limit exceeded"


class TextError(msgspec.Struct, frozen=True):
    """The body of an error."""

    error: str


def text_error(status: int, error: ErrorObject, _request_id: str) -> TextError:
    """See `api.wire.errors.ErrorFormat`."""
    return TextError(RATE_LIMIT if status == 429 else error.message)
