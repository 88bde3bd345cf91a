"""The JSON Schema Test Suite's draft 2020-12, read out of the source archive of the package that a
lock file pins; nothing of it is kept here."""

import json
from dataclasses import dataclass
from typing import Any

from tests.worker import source_archive

_TESTS = "/json/tests/draft2020-12/"
FOLDERS = (_TESTS, f"{_TESTS}optional/", f"{_TESTS}optional/format/")


@dataclass(frozen=True)
class Case:
    """A schema with values that it allows and others that it does not."""

    name: str
    schema: Any
    valid: list[Any]
    invalid: list[Any]


def cases() -> list[Case]:
    """All of them, formats and other optional parts included."""
    archive = source_archive.downloaded("schema-suite.txt", "schema-suite")
    found = []
    for folder in FOLDERS:
        for file, text in sorted(source_archive.texts(archive, folder, ".json").items()):
            for group in json.loads(text):
                values: dict[bool, list[Any]] = {True: [], False: []}
                for test in group["tests"]:
                    values[test["valid"]].append(test["data"])
                name = f"{file.removesuffix('.json')}: {group['description']}"
                found.append(Case(name, group["schema"], values[True], values[False]))
    return found
