"""Replies constrained by a schema conform to it, by llama.cpp's tests and another validator."""

import calendar
import decimal
import json
import math
import random
import re
import sys
from typing import Any

import jsonschema_rs
import pytest
from llguidance import LLMatcher, LLTokenizer

from appliance.worker.constraints import check, json_schema
from tests.worker.constraints import llama_cases

BYTES = LLTokenizer("byte")
END = BYTES.eos_token


def matcher(schema: Any) -> LLMatcher:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    grammar = LLMatcher.grammar_from_json_schema(
        json_schema.prepared(text), overrides=json_schema.COMPACT
    )
    return check.matcher(BYTES, grammar)


def fits(schema: Any, text: str) -> bool:
    return takes(matcher(schema), text)


def takes(found: LLMatcher, text: str) -> bool:
    data = list(text.encode())
    return found.try_consume_tokens(data) == len(data) and found.is_accepting()


def compact(text: str) -> str:
    """The JSON without white space around values, which replies here don't have."""
    try:
        json.loads(text)
    except ValueError:
        return text
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda match: match[1] or "", text)


# -- llama.cpp's tests ----------------------------------------------------------------------------

MATCHED = [c for c in llama_cases.matched("test_schema") if "uniqueItems" not in c.text]
TAKEN = llama_cases.schemas()
REFUSED = {
    "string array": "prefixItems",  # a schema in place of a list of schemas
    "nullable string array": "prefixItems",
    "array with empty items and prefixItems": "prefixItems",
    "unsupported regexp in a property": "look-around",
}
"""Accepted by llama.cpp, which ignores these `prefixItems` and that pattern."""


@pytest.mark.parametrize("case", MATCHED, ids=lambda case: case.name or "unnamed")
def test_what_fits_in_llama_cpp_fits_here(case: llama_cases.Case) -> None:
    assert [text for text in case.fits if not fits(case.text, compact(text))] == []
    wrong = [text for text in case.differs if fits(case.text, compact(text))]
    # llama.cpp bounds numbers to 16 digits, takes a schema without a type for one of an array or an
    # object, and lets no further properties in: the schema itself is what counts.
    validator = jsonschema_rs.Draft201909Validator(json.loads(case.text))
    assert [text for text in wrong if not validator.is_valid(json.loads(text))] == []


@pytest.mark.parametrize(("name", "schema", "good"), TAKEN, ids=[name for name, _, _ in TAKEN])
def test_what_llama_cpp_takes_is_taken_here(name: str, schema: str, good: bool) -> None:
    if name in REFUSED or not good:
        with pytest.raises(ValueError, match=REFUSED.get(name, ".")):
            matcher(schema)
    else:
        matcher(schema)


def test_llama_cpp_has_that_many() -> None:
    assert len(MATCHED) >= 30
    assert len(TAKEN) >= 80


# -- any reply a model could write ----------------------------------------------------------------

SCHEMAS: dict[str, Any] = {
    "text": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "any": {},
    "true": True,
    "object": {"type": "object"},
    "bounds": {"type": "integer", "minimum": 1, "maximum": 5},
    "exclusive": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 0},
    "anchors": {"type": "string", "pattern": "^(cat|dog)$"},
    "alternatives": {"type": "string", "pattern": "^cat|dog$", "maxLength": 12},
    "classes": {"type": "string", "pattern": r"^\d{3}-\w+(?:x|y)$", "maxLength": 12},
    "enum": {"enum": ["a\nb", 'say "hi"', 1, None, {"k": [1, 2]}, "ü"]},
    "nullable enum": {"type": ["string", "null"], "enum": ["a", "b", None]},
    "const": {"const": {"a": 1}},
    "allOf": {
        "type": "object",
        "properties": {"c": {"allOf": [{"$ref": "#/$defs/Color"}]}},
        "required": ["c"],
        "$defs": {"Color": {"enum": ["red", "green"], "title": "Color", "type": "string"}},
    },
    "last words": {
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/a~1T"}, "y": {"$ref": "#/$defs/b~1T"}},
        "required": ["x", "y"],
        "$defs": {"a/T": {"type": "integer"}, "b/T": {"type": "boolean"}},
    },
    "tree": {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": 2},
                },
                "required": ["value"],
            }
        },
    },
    "itself": {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
        "additionalProperties": False,
    },
    "lists": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "integer"}, {"type": "string"}],
        "items": False,
        "minItems": 2,
    },
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
    "named": {
        "type": "object",
        "patternProperties": {"^x_": {"type": "integer"}},
        "additionalProperties": False,
        "minProperties": 1,
    },
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
    "counts": {"type": "array", "items": {"type": "null"}, "minItems": 1.0, "maxItems": 2.0},
    "uuid": {"type": "string", "format": "uuid"},
    "v4": {"type": "string", "format": "ipv4"},
    "one of": {
        "oneOf": [
            {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
            {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]},
        ],
        "discriminator": {"propertyName": "k"},
    },
    "notes": {
        "type": "object",
        "properties": {"deprecated": {"type": "boolean", "deprecated": True, "x-of": "me"}},
        "required": ["deprecated"],
        "additionalProperties": False,
        "x-guidance": {"lenient": True, "whitespace_flexible": True},
    },
    "uri": {"type": "string", "format": "uri"},
    "unanchored": {"type": "string", "pattern": "cat|dog", "maxLength": 12},
    "untyped items": {"type": "array", "items": {}, "maxItems": 2},
    "untyped field": {"type": "object", "properties": {"a": {"title": "A"}}, "required": ["a"]},
    "a page": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["div", "button"]},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["type", "children"],
        "additionalProperties": False,
    },
    "unicode": {"type": "string", "minLength": 3, "maxLength": 3},
    "long": {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 20000}},
        "required": ["a"],
    },
    "not unique": {"type": "array", "uniqueItems": False, "items": {"type": "null"}},
}


def number(text: str) -> float:
    """Parsers take numbers beyond a double's range for infinite, which no schema allows."""
    return max(-sys.float_info.max, min(float(text), sys.float_info.max))


def written(schema: Any, chance: random.Random) -> str | None:
    """A reply of randomly chosen permitted bytes; None: it does not end."""
    found, text = matcher(schema), bytearray()
    for step in range(3000):
        mask = found.compute_bitmask()
        assert not found.is_error(), found.get_error()
        allowed = [i for i in range(BYTES.vocab_size) if mask[i // 8] >> i % 8 & 1]
        if END in allowed and (step > 150 or chance.random() < 0.3 or len(allowed) == 1):
            return text.decode()
        allowed = [byte for byte in allowed if byte != END]
        closing = [byte for byte in allowed if chr(byte) in '"]}0'] if step > 150 else []
        byte = chance.choice(closing or allowed)
        assert found.consume_token(byte)
        text.append(byte)
        if found.is_stopped():
            return text.decode()
    return None


@pytest.mark.parametrize("name", SCHEMAS)
def test_nothing_that_can_be_written_leaves_the_schema(name: str) -> None:
    schema = SCHEMAS[name]
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    chance = random.Random(name)
    texts = [text for _ in range(25) if (text := written(schema, chance)) is not None]
    assert texts
    for text in texts:
        assert validator.is_valid(json.loads(text, parse_float=number)), text
        assert not re.search(r"\s\s|[\n\t]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)), text


BOUNDS = [
    0,
    1,
    -1,
    100,
    0.1,
    0.3,
    1e-10,
    12345.678,
    0.1 + 0.2,
    math.pi,
    1e-20,
    99999999999999,
    10**15,
]
NAMES = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def conforms(judge: Any, text: str) -> bool:
    return bool(judge.is_valid(json.loads(text, parse_float=number)))


def near(bound: float) -> list[str]:
    """Numbers on both sides of another, of up to thirty decimals."""
    exact = decimal.Decimal(repr(bound))
    found = [
        exact + sign * decimal.Decimal(1).scaleb(-n) for n in range(0, 31, 2) for sign in (1, -1)
    ]
    return [f"{each:f}" for each in [exact, *found]]


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_holds_for_what_is_read_as_a_double(name: str) -> None:
    """0.99999999999999999 is read as 1."""
    with decimal.localcontext(prec=60):
        for bound in (*BOUNDS, *(-bound for bound in BOUNDS)):
            schema = {"type": "number", name: bound}
            judge = jsonschema_rs.Draft202012Validator(schema)
            texts = near(bound)
            good = {text for text in texts if conforms(judge, text)}
            start = matcher(schema)
            texts += [f"{text}0" for text in texts if "." in text]
            allowed = {text for text in texts if takes(start.deep_copy(), text)}
            outside = [text for text in allowed if not conforms(judge, text)]
            assert outside == [], schema
            # And those of a few digits can be written.
            short = [text for text in good if len(text.partition(".")[2]) < 9]
            lacking = [text for text in short if not {text, f"{text}0"} & allowed]
            assert len(lacking) <= len(short) / 2, (schema, lacking)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"multipleOf": 1.5}, "100000000000.5", "2835760033076036372084251.5"),
        ({"multipleOf": 0.01, "minimum": 1}, "123456789012.37", "2835760033076036372084.37"),
        ({"multipleOf": 0.01, "exclusiveMinimum": 0}, "0.01", "0"),
        ({"allOf": [{"exclusiveMinimum": 0}, {"multipleOf": 0.01}]}, "0.01", "0"),
        ({"allOf": [{"exclusiveMaximum": 9}, {"multipleOf": 1.5}]}, "7.5", "9"),
        ({"type": "integer", "multipleOf": 0.5}, "28357600330760363720842", "1.5"),
    ],
)
def test_multiples_are_those_of_doubles(schema: Any, good: str, bad: str) -> None:
    assert fits(schema, good)
    assert not fits(schema, bad)


@pytest.mark.parametrize("name", [*NAMES, "multipleOf"])
def test_any_bound_is_kept_to_or_refused(name: str) -> None:
    odd: list[Any] = [
        1e300,
        -1e300,
        5e-324,
        1e-300,
        -1e-300,
        10**25,
        2**63,
        -(2**70),
        10**400,
        -(10**400),
    ]
    odd += [1e-9, 1e-30, 123456789.12345679, 4503599627370495.5, 1e15, 0, -1, "1", None]
    taken = 0
    for bound in odd:
        for schema in ({name: bound}, {"type": "number", name: bound, "minimum": -1e20}):
            try:
                found = matcher(schema)
                judge = jsonschema_rs.Draft202012Validator(schema)
            except (ValueError, jsonschema_rs.ValidationError):  # refused, or no schema at all
                continue
            taken += 1
            for text in ("0", "1", "-1", "0.5", "123456789012345678", "-99999999999.5"):
                assert not takes(found.deep_copy(), text) or conforms(judge, text), (schema, text)
    assert taken >= 2


def test_days_are_those_of_their_year() -> None:
    for year in (1900, 2000, 2020, 2021, 2024, 2100):
        there = calendar.isleap(year)
        assert fits({"format": "date"}, f'"{year}-02-29"') == there
        assert fits({"format": "date-time"}, f'"{year}-02-29T12:00:00Z"') == there
        assert fits({"format": "date"}, f'"{year}-02-28"')
        assert not fits({"format": "date"}, f'"{year}-02-30"')


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^\s$", " \t\u00a0\ufeff\u2028", "a\x85_"),
        (r"^\S$", "a\x85_", " \t\u00a0\ufeff\u2028"),
        (r"^[\s,]$", " ,\ufeff", "\x85."),
        (r"^[^\s,]$", "\x85.", " ,\ufeff"),
        (r"^\\s$", "", " s"),
        (r"^[^\S]$", " \ufeff", "a\x85"),
    ],
)
def test_white_space_is_that_of_javascript(pattern: str, good: str, bad: str) -> None:
    for schema in ({"pattern": pattern}, {"type": "string", "pattern": pattern}):
        assert [c for c in good if not fits(schema, json.dumps(c, ensure_ascii=False))] == []
        assert [c for c in bad if fits(schema, json.dumps(c, ensure_ascii=False))] == []


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, "if"),
        ({"type": "array", "contains": {"type": "string"}}, "contains"),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"propertyNames": {"maxLength": 3}}, "propertyNames"),
        ({"type": "object", "minProperties": 2}, "minProperties"),
        ({"type": "string", "format": "colour"}, "format"),
        ({"type": "string", "pattern": "(?=a)b"}, "look"),
        ({"type": "string", "pattern": "(a"}, "regex"),
        ({"type": "nonsense"}, "nonsense"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$ref": "http://example.org/schema"}, "."),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "."),
        ({"enum": []}, "."),
        (False, "nothing"),
        ({"type": "number", "minimum": -1e30}, "minimum"),
        ({"$ref": "#"}, "."),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ("[1]", "no JSON schema"),
        ("{", "no JSON"),
        ("[" * 20_000, "deep"),
        ({"type": "string", "description": "x" * json_schema.MAX_BYTES}, "KB"),
    ],
)
def test_what_cannot_be_kept_to_is_refused_by_name(schema: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        matcher(schema)


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema: Any = {"type": "integer"}
    for _ in range(json_schema.MAX_DEPTH):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ValueError, match="deep"):
        matcher(schema)
