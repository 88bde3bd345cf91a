"""The API's description, OpenAPI 3.1, made from the route table and the types that validate."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

from appliance.api.openapi.operation import Operation, Operations, Route
from appliance.http.errors import ErrorAnswer

operation = Operations("Appliance")

ABOUT = """\
Everything that the appliance can do. OpenAI's paths below `/v1` also work without that prefix.
Errors have the same format everywhere but in the APIs of Anthropic and Ollama, which have their
own; switch on `error.code`, which is stable, rather than on the message.
"""

EVENTS = "text/event-stream"
SCHEMAS = "#/components/schemas/{name}"
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
OPTIONAL_KEY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]
"""Whether a key is required depends on the configuration."""
EVERYWHERE = (401, 403, 421, 429, 503)
WITH_BODY = (400, 413, 415)

_FIELD = re.compile(r"\{(?P<name>\w+)(?::[^}]*)?\}")


class Spec:
    """`/openapi.json`"""

    def __init__(self, routes: Iterable[Route], version: str) -> None:
        """`routes`: the table, read when the document is first requested."""
        self._routes = routes
        self._version = version
        self._document: bytes = b""

    @operation(gives=dict[str, Any])
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """This description."""
        if not self._document:
            self._document = msgspec.json.encode(document(self._routes, self._version))
        resp.data = self._document
        resp.content_type = falcon.MEDIA_JSON


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole description, ready for JSON.

    Raises:
        LookupError: a route of the table has no `Operation`.
    """
    table = list(routes)
    schemas = Schemas(
        type_
        for route in table
        for method in route.own
        for type_ in _types(_operation_of(route, method))
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        path = _FIELD.sub(r"{\g<name>}", route.path)
        for method, responder in ((it, route.responders[it]) for it in route.own):
            op = _operation_of(route, method)
            paths.setdefault(path, {})[method.lower()] = _operation(
                path, method, responder, op, schemas
            )
    groups = dict.fromkeys(_operation_of(r, m).group for r in table for m in r.own)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The appliance", "version": version, "description": ABOUT},
        "tags": [{"name": group} for group in groups],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": KEYS},
    }


class Schemas:
    """JSON schemas of types; those with a name are among the components."""

    def __init__(self, types: Iterable[Any]) -> None:
        """`types`: all that will be looked up."""
        wanted = list(dict.fromkeys([ErrorAnswer, *types]))
        self.components: dict[str, dict[str, Any]]
        found, self.components = msgspec.json.schema_components(wanted, ref_template=SCHEMAS)
        self._found: dict[Any, dict[str, Any]] = dict(zip(wanted, found, strict=True))

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of one of the types, or one that accepts any of a tuple."""
        if isinstance(type_, tuple):
            return {"anyOf": [self._found[one] for one in type_]}
        return self._found[type_]

    def named(self, type_: Any) -> dict[str, Any]:
        """A struct's own schema, rather than a reference to it."""
        return self.components[self._found[type_]["$ref"].rpartition("/")[2]]


def _operation_of(route: Route, method: str) -> Operation:
    op = route.operation(method)
    if op is None:
        raise LookupError(f"{method} {route.path} has no @operation")
    return op


def _types(op: Operation) -> Iterator[Any]:
    for type_ in (op.takes, op.query, op.gives, op.error, *op.also.values()):
        yield from (one for one in _several(type_) if not isinstance(one, str))
    for _, one in _events_of(op):
        if not isinstance(one, str):
            yield one


def _several(what: Any) -> tuple[Any, ...]:
    if what is None:
        return ()
    return what if isinstance(what, tuple) else (what,)


def _events_of(op: Operation) -> Iterator[tuple[str, Any]]:
    """Name and data of each kind of event in its stream."""
    streams = op.streams if isinstance(op.streams, Mapping) else {"message": op.streams}
    for name, data in streams.items():
        for one in _several(data):
            yield name, one


def _operation(
    path: str, method: str, responder: Callable[..., None], op: Operation, schemas: Schemas
) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(responder) or "").partition("\n\n")
    words = re.sub(r"\W+", " ", path).split()
    described: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *words]),
        "tags": [op.group],
        "summary": summary.replace("\n", " "),
    }
    if description:
        described["description"] = description
    if parameters := [*_in_path(path), *_in_query(op, schemas)]:
        described["parameters"] = parameters
    if op.takes is not None:
        described["requestBody"] = {
            "required": not op.optional,
            "content": {op.takes_type: {"schema": schemas.of(op.takes)}},
        }
    described["responses"] = _responses(path, op, schemas)
    described["security"] = OPTIONAL_KEY
    return described


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for name in _FIELD.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(op: Operation, schemas: Schemas) -> Iterator[dict[str, Any]]:
    if op.query is None:
        return
    schema = schemas.named(op.query)
    for name, of_field in schema["properties"].items():
        needed = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": needed, "schema": of_field}


def _responses(path: str, op: Operation, schemas: Schemas) -> dict[str, Any]:
    described = {str(op.status): _answer(op.status, op.gives, schemas)}
    if op.streams is not None:
        content = described[str(op.status)].setdefault("content", {})
        items = [
            _event(name, data, schemas) if op.stream_type == EVENTS else schemas.of(data)
            for name, data in _events_of(op)
        ]
        content[op.stream_type] = {"schema": {"anyOf": items}}
    for status, type_ in op.also.items():
        described[str(status)] = _answer(status, type_, schemas)
    errors = {*EVERYWHERE, *op.errors}
    if op.takes is not None:
        errors.update(WITH_BODY)
    if op.query is not None:
        errors.add(400)
    if "{" in path:
        errors.add(404)
    for status in sorted(errors):
        described.setdefault(str(status), _answer(status, op.error, schemas))
    return described


def _answer(status: int, type_: Any, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    texts = [one for one in _several(type_) if isinstance(one, str)]
    if texts:
        described["content"] = {one: {"schema": {"type": "string"}} for one in texts}
    elif type_ is not None:
        described["content"] = {falcon.MEDIA_JSON: {"schema": schemas.of(type_)}}
    return described


def _event(name: str, data: Any, schemas: Schemas) -> dict[str, Any]:
    """One kind of server-sent event."""
    described: dict[str, Any] = {"type": "string"}
    if isinstance(data, str):
        described = {"const": data}
    elif data is not str:
        described |= {"contentMediaType": falcon.MEDIA_JSON, "contentSchema": schemas.of(data)}
    return {
        "type": "object",
        "properties": {"event": {"const": name}, "data": described, "id": {"type": "string"}},
        "required": ["event", "data"],
    }
