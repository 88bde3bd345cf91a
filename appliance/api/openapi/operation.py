"""What a route takes and gives, said right above its responder; `document.py` makes one of it.

    operation = Operations("Sessions")

    class OneSession:
        @operation(takes=SessionChange, gives=Session)
        def on_patch(self, req, resp, session_id): ...

The types are those that decode the request and that the answer is encoded from.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import falcon
import msgspec
from falcon import routing

Responder = TypeVar("Responder", bound=Callable[..., None])


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one route."""

    group: str
    """Under which heading people find it."""
    takes: Any = None
    """Type of the body; a tuple of types: any of them. None: no body."""
    optional: bool = False
    """The body may be left out."""
    query: type[msgspec.Struct] | None = None
    """Its fields are the parameters of the query."""
    gives: Any = None
    """Type of the answer, or its media type if that isn't JSON; None: it has no body."""
    streams: Any = None
    """Of an answer that is, or can be, server-sent events: what their data may be, or that for each
    event's name. A type is told as JSON, `str` as plain text, and a text as itself; a tuple of them
    as any."""
    plain_errors: bool = False
    """Errors can also be streams of plain text."""
    status: int = 200
    also: Mapping[int, Any] = {}
    """Types of answers with another status, if they are not errors."""
    errors: tuple[int, ...] = ()
    """Statuses of errors beside those that every route of its kind may have."""


class Operations:
    """A decorator for the responders of one group."""

    def __init__(self, group: str) -> None:
        self._group = group

    def __call__(self, **what: Any) -> Callable[[Responder], Responder]:
        """Says of a responder what `Operation` has fields for."""
        told = Operation(group=self._group, **what)

        def tell(responder: Responder) -> Responder:
            responder.operation = told  # type: ignore[attr-defined]
            return responder

        return tell


class Route(msgspec.Struct, frozen=True):
    """One path of the table, and its responders by method."""

    path: str
    responders: dict[str, Callable[..., None]]

    def operation(self, method: str) -> Operation | None:
        """What was said of a method; None: nothing."""
        return getattr(self.responders[method], "operation", None)


class App(falcon.App[falcon.Request, falcon.Response]):
    """Falcon's, which remembers its table."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.routes: list[Route] = []

    def add_route(
        self, uri_template: str, resource: object, *, suffix: str | None = None, **kwargs: Any
    ) -> None:
        """Have a resource answer at a path."""
        super().add_route(uri_template, resource, suffix=suffix, **kwargs)
        responders: Any = routing.map_http_methods(resource, suffix)
        self.routes.append(Route(uri_template, responders))
