"""What goes over the wire: JSON-RPC 2.0, and the results of the protocol."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.api.wire.lenient import Lenient
from appliance.http.errors import ErrorObject

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Of the protocol, the newest last. In these a client begins with `initialize`."""

BAD_REQUEST = -32600
NO_METHOD = -32601
BAD_PARAMS = -32602
OTHER_VERSION = -32022
"""The code of clients and servers that share no version."""

Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[str, Meta(max_length=256)]


class RpcMessage(Lenient, kw_only=True, frozen=True):
    """A request, or without an id a notification, or without a method a client's answer."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: Id | None = None
    method: str | None = None
    params: dict[str, Any] | None = None


class RpcError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no result."""

    code: int
    message: str
    data: Any = UNSET


class RpcAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request: a result or an error."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: int | str | None
    result: dict[str, Any] | UnsetType = UNSET
    error: RpcError | UnsetType = UNSET


class RpcNotification(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream has before the answer."""

    jsonrpc: Literal["2.0"] = "2.0"
    method: str
    params: dict[str, Any]


class RpcFault(Exception):
    """A request that gets an error for an answer."""

    def __init__(self, code: int, message: str, data: Any = UNSET) -> None:
        super().__init__(message)
        self.error = RpcError(code=code, message=message, data=data)


def rpc_error(_status: int, error: ErrorObject, _request_id: str) -> RpcAnswer:
    """The body of an error whose request was not even read."""
    return RpcAnswer(id=None, error=RpcError(code=BAD_REQUEST, message=error.message))


def tool_result(value: Any) -> dict[str, Any]:
    """What a tool gives, as an object and as its text."""
    found = msgspec.to_builtins(value)
    text = msgspec.json.encode(found).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": found}


def tool_text(text: str, *, is_error: bool = False) -> dict[str, Any]:
    """A text that a tool gives, or why it gives none."""
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
