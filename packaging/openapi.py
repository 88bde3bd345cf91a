"""Prints `/openapi.json` of this checkout without starting it: only the route table is needed."""

import inspect
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import msgspec

from appliance import __version__
from appliance.api.app import build
from appliance.api.openapi.document import document
from appliance.api.openapi.operation import App
from appliance.config.schema import Config


def app() -> App:
    """The app with all its routes, on mock objects."""
    parts: dict[str, Any] = {name: MagicMock() for name in inspect.signature(build).parameters}
    parts |= {"config": Config(), "ui": Path(), "version": __version__}
    return build(**parts)


def schemas() -> dict[str, Any]:
    """The document without its paths: the schemas that the page's types are made from."""
    whole = document(app().routes, __version__)
    named = {
        name: {key: value for key, value in schema.items() if key != "title"}
        for name, schema in sorted(whole["components"]["schemas"].items())
    }
    return {**whole, "paths": {}, "components": {"schemas": named}}


def main() -> None:
    """Prints the document as JSON; only its schemas if the first argument is `schemas`."""
    found = schemas() if sys.argv[1:] == ["schemas"] else document(app().routes, __version__)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


if __name__ == "__main__":
    main()
