"""The JSON Schema Test Suite: each of its schemas is kept to, or refused by name."""

import functools
import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.worker.constraints import json_schema_suite
from tests.worker.constraints.json_schema_suite import Case
from tests.worker.constraints.test_json_schema import fits, matcher, number, written

NOT_HERE = re.compile(
    r"not supported here: \["
    r"|oneOf is not supported where two of its schemas may fit"
    r"|Unknown format: "
    r"|minProperties can be at most "
    r"|patternProperty regexes .* are not disjoint"
    r"|(minimum or maximum|multipleOf).*(out of range|too many digits)"
    r"|Resource .* is not present"  # of another document
    r"|Unsatisfiable schema: |nothing conforms"
    r"|regex parse error: "  # escapes of JavaScript's own, as \\cC
)
"""Reasons that say what it is about."""


@functools.cache
def tried() -> tuple[list[Case], dict[str, str]]:
    """Cases that are kept to, and why others, by name, are not."""
    kept, refused = [], {}
    for case in json_schema_suite.cases():
        try:
            matcher(case.schema)
        except ValueError as ex:
            refused[case.name] = str(ex)
        else:
            kept.append(case)
    return kept, refused


def test_what_is_not_kept_to_is_refused_by_name() -> None:
    kept, refused = tried()
    assert {name: why for name, why in refused.items() if not NOT_HERE.search(why)} == {}
    assert len(kept) + len(refused) >= 400
    assert len(kept) >= 205


def forms(value: Any) -> Iterator[str]:
    """A value as a reply could have it: with its keys in any order, of up to a few."""
    yield json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, dict) and 1 < len(value) < 5:
        for keys in itertools.permutations(value):
            turned = {key: value[key] for key in keys}
            yield json.dumps(turned, separators=(", ", ": "), ensure_ascii=False)


def test_values_that_a_schema_does_not_allow_cannot_be_written() -> None:
    looser = []
    for case in tried()[0]:
        for value in case.invalid:
            looser += [(case.name, text) for text in forms(value) if fits(case.schema, text)]
    assert looser == []
    assert sum(len(case.invalid) for case in tried()[0]) >= 420


def test_most_values_that_a_schema_allows_can_be_written() -> None:
    """The others: 1.0 for an integer, what only JavaScript's formats or leap seconds allow, and
    formats that mean nothing where they are notes."""
    lacking = [
        (case.name, value)
        for case in tried()[0]
        for value in case.valid
        if not any(fits(case.schema, text) for text in forms(value))
    ]
    assert len(lacking) <= 40, lacking


def walk(case: Case, times: int) -> None:
    validator = jsonschema_rs.Draft202012Validator(case.schema, validate_formats=True)
    chance = random.Random(case.name)
    texts = [text for _ in range(times) if (text := written(case.schema, chance)) is not None]
    assert texts, case.name
    for text in texts:
        value = json.loads(text, parse_float=number)
        assert validator.is_valid(value), (case.name, case.schema, text)


def test_whatever_is_written_conforms() -> None:
    for case in tried()[0]:
        walk(case, 2)


@pytest.mark.soak
def test_whatever_is_written_conforms_however_often() -> None:
    for case in tried()[0]:
        walk(case, 60)
