"""Prints `/openapi.json` of this checkout. Nothing is started: the table alone is needed."""

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
    """The app with its whole table, and nothing behind it."""
    parts: dict[str, Any] = {name: MagicMock() for name in inspect.signature(build).parameters}
    parts |= {"config": Config(), "ui": Path(), "version": __version__}
    return build(**parts)


def schemas() -> dict[str, Any]:
    """The document without its paths: all that the page needs types of."""
    whole = document(app().routes, __version__)
    named = {
        name: {key: value for key, value in schema.items() if key != "title"}
        for name, schema in sorted(whole["components"]["schemas"].items())
    }
    return {**whole, "paths": {}, "components": {"schemas": named}}


def main() -> None:
    """The document as JSON; only its schemas when the first argument says so."""
    found = schemas() if sys.argv[1:] == ["schemas"] else document(app().routes, __version__)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


if __name__ == "__main__":
    main()
