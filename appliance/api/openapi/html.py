"""`/docs`: the API's description as a page, generated here, without scripts or other servers."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

import falcon

from appliance.api.openapi.document import SCHEMAS, document
from appliance.api.openapi.operation import Operations, Route

operation = Operations("Appliance")

STYLE = """
:root {
  color-scheme: light dark;
  --ground: light-dark(#fbfbfa, #17181a);
  --quiet: light-dark(#f0f0ee, #212326);
  --line: light-dark(#dededb, #34373b);
  --text: light-dark(#1d1f21, #e6e6e3);
  --dim: light-dark(#5c6066, #a2a6ac);
  --accent: light-dark(#0b5cad, #7ab7f5);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto;
  max-width: 1200px;
  display: grid;
  grid-template-columns: 300px minmax(0, 1fr);
  background: var(--ground);
  color: var(--text);
  font: 16px/1.6 system-ui, sans-serif;
}
nav {
  position: sticky;
  top: 0;
  height: 100vh;
  overflow: auto;
  padding: 24px 16px;
  border-right: 1px solid var(--line);
  font-size: 13px;
}
nav h2 { font-size: 13px; margin: 16px 0 4px; color: var(--dim); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: flex; padding: 2px 0; overflow-wrap: anywhere; }
main { padding: 24px 32px 96px; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
nav a { color: var(--text); }
h1 { font-size: 26px; }
main h2 { margin-top: 48px; border-bottom: 1px solid var(--line); }
h3 { margin: 0 0 4px; font-size: 16px; overflow-wrap: anywhere; }
h4 { margin: 16px 0 4px; font-size: 13px; color: var(--dim); }
section { padding: 20px 0; border-bottom: 1px solid var(--line); scroll-margin-top: 8px; }
section:target { background: var(--quiet); box-shadow: 0 0 0 12px var(--quiet); }
p { margin: 4px 0; max-width: 72ch; }
code { font: 13.5px/1.5 ui-monospace, monospace; }
b { display: inline-block; flex: 0 0 52px; min-width: 52px; font-size: 11px; color: var(--dim); }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top; }
th { font-weight: normal; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td:last-child { color: var(--dim); }
.errors { font-size: 13px; color: var(--dim); }
@media (max-width: 800px) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; }
  main { padding: 16px; }
}
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

PathOperation = tuple[str, str, dict[str, Any]]
"""Method, path, and the operation as the document describes it."""


class Docs:
    """`/docs`"""

    def __init__(self, routes: Iterable[Route], version: str) -> None:
        """`routes`: the table, read when the page is first requested."""
        self._routes = routes
        self._version = version
        self._page = b""

    @operation(gives=falcon.MEDIA_HTML)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """This description, for people."""
        if not self._page:
            self._page = page(document(self._routes, self._version)).encode()
        resp.data = self._page
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", POLICY)


def page(spec: dict[str, Any]) -> str:
    """The whole page."""
    info = spec["info"]
    groups: dict[str, list[PathOperation]] = {}
    for path, methods in spec["paths"].items():
        for method, op in methods.items():
            groups.setdefault(op["tags"][0], []).append((method, path, op))
    schemas = spec["components"]["schemas"]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{escape(info["title"])}: API</title>'
        f"<style>{STYLE}</style></head><body><nav>{_contents(groups)}"
        '<h2><a href="#types">Types</a></h2></nav><main>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{_text(info['description'])}"
        '<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
        f"{''.join(_group(name, operations) for name, operations in groups.items())}"
        f'<h2 id="types">Types</h2>{"".join(_type(n, schemas[n]) for n in sorted(schemas))}'
        "</main></body></html>\n"
    )


def _contents(groups: dict[str, list[PathOperation]]) -> str:
    return "".join(
        f"<h2>{escape(name)}</h2><ul>"
        + "".join(
            f'<li><a href="#{op["operationId"]}">{_method(method)} {escape(path)}</a></li>'
            for method, path, op in operations
        )
        + "</ul>"
        for name, operations in groups.items()
    )


def _group(name: str, operations: list[PathOperation]) -> str:
    return f"<h2>{escape(name)}</h2>" + "".join(_operation(*each) for each in operations)


def _operation(method: str, path: str, op: dict[str, Any]) -> str:
    parts = [
        f'<section id="{op["operationId"]}"><h3>{_method(method)} <code>{escape(path)}</code>',
        f"</h3><p>{_code(op['summary'])}</p>{_text(op.get('description', ''))}",
    ]
    if parameters := op.get("parameters"):
        rows = "".join(
            _row(one["name"], one["schema"], one["required"], one["in"]) for one in parameters
        )
        parts.append(f"<h4>Parameters</h4><table>{rows}</table>")
    if body := op.get("requestBody"):
        parts.append(f"<h4>Body</h4><p>{_bodies(body['content'])}</p>")
    answers, errors = [], []
    for status, answer in op["responses"].items():
        if answer.get("content") != ERROR:
            answers.append(
                f"<tr><th>{status}</th><td>{_bodies(answer.get('content', {}))}</td></tr>"
            )
        else:
            errors.append(f"{status} {escape(answer['description'])}")
    parts.append(f"<h4>Answers</h4><table>{''.join(answers)}</table>")
    parts.append(f"<p class=errors>Errors: {', '.join(errors)}</p></section>")
    return "".join(parts)


def _bodies(content: dict[str, Any]) -> str:
    if not content:
        return "no body"
    return "<br>".join(
        f"{_stream(described['schema'])} as a stream of events"
        if media == "text/event-stream"
        else _shape(described["schema"])
        if media == falcon.MEDIA_JSON
        else escape(media)
        for media, described in content.items()
    )


def _stream(schema: dict[str, Any]) -> str:
    events = (event["properties"] for event in schema["anyOf"])
    return ", ".join(
        f"<code>{escape(event['event']['const'])}</code> "
        f"{_shape(event['data'].get('contentSchema') or event['data'])}"
        for event in events
    )


def _type(name: str, schema: dict[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = "".join(
        _row(name, field, name in needed) for name, field in schema.get("properties", {}).items()
    )
    return (
        f'<section id="type-{escape(name)}"><h3>{escape(name)}</h3>'
        f"{_text(schema.get('description', ''))}<table>{rows}</table></section>"
    )


def _row(name: str, schema: dict[str, Any], needed: bool, place: str = "") -> str:
    notes = [place, "required" if needed and not place else "", *_limits(schema)]
    return (
        f"<tr><th><code>{escape(name)}</code></th><td>{_shape(schema)}</td>"
        f"<td>{escape(', '.join(filter(None, notes)))}</td></tr>"
    )


def _shape(schema: dict[str, Any]) -> str:
    """A type in words, with links to those that have names."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f'<a href="#type-{escape(name)}">{escape(name)}</a>'
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_shape(one) for one in several)
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_shape(schema['items'])}" if schema.get("items") else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object with values {_shape(schema['additionalProperties'])}"
    return escape(str(kind))


ERROR = {falcon.MEDIA_JSON: {"schema": {"$ref": SCHEMAS.format(name="ErrorAnswer")}}}

_WORDS = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "characters from",
    "maxLength": "characters up to",
    "minItems": "entries from",
    "maxItems": "entries up to",
    "pattern": "matches",
}


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    for one in (schema, *schema.get("anyOf", ())):
        for key, word in _WORDS.items():
            if key in one:
                yield f"{word} {one[key]}"
    if schema.get("default") is not None:
        yield f"default {schema['default']}"


def _method(method: str) -> str:
    return f'<b class="{method}">{method.upper()}</b>'


def _text(text: str) -> str:
    return "".join(f"<p>{_code(part)}</p>" for part in text.split("\n\n") if part)


def _code(text: str) -> str:
    """Between backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
