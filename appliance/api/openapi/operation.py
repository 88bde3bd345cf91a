"""A route's request and response types, declared above its responder; `document.py` collects them.

    operation = Operations("Sessions")

    class OneSession:
        @operation(takes=SessionChange, gives=Session)
        def on_patch(self, req, resp, session_id): ...

The types are those that the request is decoded to and the response is encoded from.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import falcon
import msgspec
from falcon import routing

from appliance.http.errors import ErrorAnswer

Responder = TypeVar("Responder", bound=Callable[..., None])


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one route."""

    group: str
    """The heading it is listed under."""
    takes: Any = None
    """Type of the body; a tuple of types: any of them. None: no body."""
    takes_type: str = falcon.MEDIA_JSON
    """The body's media type; of a form, `takes` has its fields."""
    optional: bool = False
    """The body may be left out."""
    query: type[msgspec.Struct] | None = None
    """Its fields are the query parameters."""
    gives: Any = None
    """Type of the answer, or its media type, or several, if it isn't JSON; None: it has no body."""
    streams: Any = None
    """For an answer that is, or can be, server-sent events: the data of an event, or a mapping from
    event names to it. A type means JSON, `str` plain text, and a text itself; a tuple means any of
    its items."""
    stream_type: str = "text/event-stream"
    """Its media type; of any other, an item is a line of JSON."""
    error: Any = ErrorAnswer
    """Type of the body of an error."""
    status: int = 200
    also: Mapping[int, Any] = {}
    """Types of answers with other statuses that are not errors."""
    errors: tuple[int, ...] = ()
    """Statuses of errors beside those that every such route may have."""


class Operations:
    """A decorator for the responders of one group."""

    def __init__(self, group: str) -> None:
        self._group = group

    def __call__(self, **fields: Any) -> Callable[[Responder], Responder]:
        """Describes a responder; the arguments are the fields of `Operation`."""
        operation = Operation(group=self._group, **fields)

        def describe(responder: Responder) -> Responder:
            responder.operation = operation  # type: ignore[attr-defined]
            return responder

        return describe


class Route(msgspec.Struct, frozen=True):
    """One path of the table, and its responders by method."""

    path: str
    responders: dict[str, Callable[..., None]]

    @property
    def own(self) -> list[str]:
        """Methods with a responder of their own: HEAD's is GET's if the resource has no other."""
        same = self.responders.get("HEAD") == self.responders.get("GET")
        return [method for method in self.responders if method != "HEAD" or not same]

    def operation(self, method: str) -> Operation | None:
        """The description of a method; None: it has none."""
        return getattr(self.responders[method], "operation", None)


class _Router(routing.CompiledRouter):
    """Answers HEAD wherever there is a GET, with the same head and no body."""

    def map_http_methods(self, resource: object, **kwargs: Any) -> Any:
        found: Any = super().map_http_methods(resource, **kwargs)
        if "GET" in found:
            found.setdefault("HEAD", found["GET"])
        return found


class App(falcon.App[falcon.Request, falcon.Response]):
    """Falcon's app, which remembers its route table."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(router=_Router(), **kwargs)
        self.routes: list[Route] = []

    def add_route(
        self, uri_template: str, resource: object, *, suffix: str | None = None, **kwargs: Any
    ) -> None:
        """Have a resource answer requests to a path."""
        super().add_route(uri_template, resource, suffix=suffix, **kwargs)
        responders: Any = self._router.map_http_methods(resource, suffix=suffix)
        self.routes.append(Route(uri_template, responders))
