"""Errors in Anthropic's form."""

from typing import Any

from appliance.api.dialects.anthropic.schemas import AnthropicError, AnthropicErrorObject
from appliance.errors import ApplianceError, ContextLengthExceeded
from appliance.http.errors import ErrorObject, error_object, status_of

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    507: "api_error",
}


def anthropic_error(status: int, error: ErrorObject, request_id: str) -> Any:
    """The body of an error."""
    return AnthropicError(error=_object(status, error), request_id=f"req_{request_id}")


def anthropic_error_event(error: ApplianceError) -> Any:
    """The data of an error in a stream."""
    return AnthropicError(error=_object(status_of(error), error_object(error)))


def _object(status: int, error: ErrorObject) -> AnthropicErrorObject:
    message = error.message
    if error.code == ContextLengthExceeded.code:
        # Agents look for these words, and then shorten their chat.
        lengths = ContextLengthExceeded(message).lengths
        message = f"prompt is too long: {message}"
        if lengths:
            message = f"prompt is too long: {lengths[0]} tokens > {lengths[1]} maximum"
    kind = _TYPES.get(status, "invalid_request_error")
    return AnthropicErrorObject(type=kind, message=message)
