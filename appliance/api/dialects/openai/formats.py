"""What a reply is to keep to: OpenAI's `response_format`, and vLLM's fields for it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from appliance.api.wire.lenient import Lenient

Alternatives = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=1024)]
ANY_OBJECT = '{"type": "object"}'


class PlainText(Lenient, kw_only=True, frozen=True, tag="text", tag_field="type"):
    """`response_format`: any text."""

    def params(self) -> dict[str, Any]:
        """For the engine."""
        return {}


class JsonObject(Lenient, kw_only=True, frozen=True, tag="json_object", tag_field="type"):
    """`response_format`: any JSON object."""

    schema: dict[str, Any] | None = None
    """Of which the object is to be; llama-server's."""

    def params(self) -> dict[str, Any]:
        """For the engine."""
        return {"json_schema": _json(self.schema) if self.schema else ANY_OBJECT}


class NamedSchema(Lenient, kw_only=True, frozen=True):
    """A JSON schema with its name; it is always enforced, as if `strict`."""

    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class JsonSchema(Lenient, kw_only=True, frozen=True, tag="json_schema", tag_field="type"):
    """`response_format`: JSON that matches a schema."""

    json_schema: NamedSchema

    def params(self) -> dict[str, Any]:
        """For the engine."""
        return {"json_schema": _json(self.json_schema.schema)}


ResponseFormat = PlainText | JsonObject | JsonSchema


class StructuredOutputs(Lenient, kw_only=True, frozen=True):
    """vLLM's `structured_outputs`: one of these."""

    json: dict[str, Any] | str | None = None
    grammar: str | None = None
    choice: Alternatives | None = None
    regex: str | None = None

    def params(self) -> dict[str, Any]:
        """For the engine."""
        if self.json is not None:
            return {"json_schema": self.json if isinstance(self.json, str) else _json(self.json)}
        if self.grammar:
            return {"grammar": self.grammar}
        if self.choice:
            return {"grammar": "root ::= " + " | ".join(map(_literal, self.choice))}
        if self.regex:
            return {"regex": self.regex}
        return {}


def _json(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema).decode()


def _literal(text: str) -> str:
    """A text in GBNF."""
    for plain, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, written)
    return f'"{text}"'
