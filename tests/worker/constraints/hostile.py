"""Hostile grammars, schemas and biases, reproducible by number."""

import json
import math
import random
from collections.abc import Callable
from typing import Any

from appliance.engine.types import SamplingParams

N_VOCAB = 49152
ENDS = (0, 2, 4)
"""The embedded model's end-of-reply tokens."""

Draw = random.Random


def sampling(number: int) -> SamplingParams:
    """The sampling parameters of one request."""
    draw = random.Random(number)
    fields: dict[str, Any] = {"max_tokens": draw.choice([1, 2, 4]), "temperature": 1.5, "seed": 1}
    if draw.random() < 0.5:
        fields["grammar"] = draw.choice(GRAMMARS)(draw)
    else:
        fields["json_schema"] = draw.choice(SCHEMAS)(draw)
    if draw.random() < 0.3:
        fields["ignore_eos"] = True
    banned = draw.choice([(), (), (), ENDS, tuple(draw.sample(range(N_VOCAB), 500))])
    if draw.random() < 0.03:
        banned = tuple(range(N_VOCAB))
    fields["logit_bias"] = tuple((token, -math.inf) for token in banned)
    return SamplingParams(**fields)


# -- grammars -------------------------------------------------------------------------------------


def brackets(draw: Draw) -> str:
    count = draw.choice([5, 49, 500, 20_000])
    return "root ::= " + "(" * count + '"a"' + ")" * draw.choice([count, count - 1, 0])


def counts(draw: Draw) -> str:
    inner = draw.choice(['"a"', "[a-z]", ".", '"a"?', '""', "[^\\x00]"])
    for _ in range(draw.randint(1, 6)):
        inner = f"({inner}){{{draw.choice(['0,50', '50', '1,', '0,10000', '9999', '99999', '3'])}}}"
    return f"root ::= {inner}"


def many(draw: Draw) -> str:
    part = draw.choice(['"a"? ', '"a"* ', "[ab]? ", '("a" | "b")? ', '"" ', "x "])
    return "root ::= " + part * draw.choice([10, 300, 3000]) + '\nx ::= "x" x | ""'


def alternatives(draw: Draw) -> str:
    words = (f'"{"a" * (i % 40)}{i}"' for i in range(draw.choice([10, 1000, 4000])))
    return "root ::= x*\nx ::= " + " | ".join(words)


def rules(draw: Draw) -> str:
    count = draw.choice([3, 300, 900, 4000])
    link = draw.choice(
        ["{n}", '"a"? {n} "b"?', "{n} {n}", "{n} | {n}", "({n})*", "{n}?", "{n}{{0,9}}"]
    )
    found = [f"r{i} ::= " + link.format(n=f"r{i + 1}") for i in range(count)]
    last = draw.choice(['"a"', "r0", "r0 | ", '""', "[a-z]*", '"x" r0 "y" | "z"'])
    return "\n".join(["root ::= r0", *found, f"r{count} ::= {last}"])


def loops(draw: Draw) -> str:
    return "root ::= " + draw.choice(
        [
            "root",
            "root | root",
            'root root | "a"',
            'root root root | "a" | ""',
            '"a" root "b" | ""',
            'x x x x x x x x\nx ::= x x | "a" | ""',
            "(root)*",
            '(root | "a")*',
            'x*\nx ::= y*\ny ::= z*\nz ::= "a"*',
            '[a-z]* x\nx ::= [a-z]* x | ""',
        ]
    )


def texts(draw: Draw) -> str:
    text = "".join(
        chr(draw.choice([65, 0x7F, 0x300, 0x4E2D, 0x1F600, 0x10FFFF])) for _ in range(50)
    )
    escape = draw.choice([r"\uD800", r"\x00", r"\U0010FFFF", r"\U00110000", r"\n", r"\q", ""])
    return f'root ::= "{text}{escape}" [{text}{escape}]{draw.choice(["*", "+", "{1000}", ""])}'


def rubbish(draw: Draw) -> str:
    signs = [*'"()[]{}|*+?\\<!#\na1,-^. ', "::=", "root"]
    return "root ::= " + "".join(draw.choice(signs) for _ in range(draw.choice([5, 50, 2000])))


def tokens(draw: Draw) -> str:
    return "root ::= " + draw.choice(
        [
            "<[0]>",
            "<[49151]>",
            "<[99999999999]>",
            "(!<[5]>)*",
            "<|im_end|>",
            "!<|im_end|> root",
            "<x>",
        ]
    )


GRAMMARS: list[Callable[[Draw], str]] = [
    *(brackets, counts, many, alternatives, rules, loops, texts, rubbish, tokens),
]

# -- schemas --------------------------------------------------------------------------------------


def deep(draw: Draw) -> str:
    count = draw.choice([10, 60, 99, 5000])
    opening, closing = draw.choice(
        [
            ('{"type":"array","items":', "}"),
            ('{"type":"object","properties":{"a":', '},"required":["a"]}'),
            ('{"anyOf":[', ',{"type":"null"}]}'),
            ('{"allOf":[', "]}"),
            ('{"const":', "}"),
            ("[", "]"),
        ]
    )
    return opening * count + '{"type":"integer"}' + closing * count


def wide(draw: Draw) -> str:
    count = draw.choice([10, 300, 3000])
    names = [f"p{i}" for i in range(count)]
    schema: dict[str, Any] = {"type": "object", "properties": {name: {} for name in names}}
    if draw.random() < 0.5:
        schema["required"] = draw.sample(names, count // 2)
    return json.dumps(schema)


def large(draw: Draw) -> str:
    count = draw.choice([0, 1, 1000, 65536, 10**6, 10**9, 2**31, 2**63, 10**30, -1, 0.5])
    kind, name = draw.choice(
        [
            ("string", "minLength"),
            ("string", "maxLength"),
            ("array", "minItems"),
            ("array", "maxItems"),
            ("object", "minProperties"),
            ("object", "maxProperties"),
            ("integer", "minimum"),
            ("integer", "maximum"),
            ("number", "exclusiveMinimum"),
            ("integer", "multipleOf"),
            ("number", "multipleOf"),
        ]
    )
    schema = {"type": kind, name: count}
    if kind == "array":
        schema["items"] = draw.choice([{}, True, False, {"type": "integer"}, {"$ref": "#"}])
    return json.dumps(draw.choice([schema, {"type": "array", "items": schema, "maxItems": 10**6}]))


def enums(draw: Draw) -> str:
    count = draw.choice([0, 1, 500, 5000])
    size = draw.choice([1, 20, 60])
    return json.dumps(
        {"enum": [draw.choice(["x" * size, "é" * size, i, None]) for i in range(count)]}
    )


def patterns(draw: Draw) -> str:
    pattern = draw.choice(
        [
            "^(a+)+$",
            "^(a|aa)+$",
            "(x.*){60}",
            "^((a|b)*a(a|b){200})$",
            "^(a{1,1000}){1,1000}$",
            "^([a-z]{1,200}){1,100}$",
            "^(?:.{0,50}x){50}$",
            "(?=a)",
            "\\p{L}{1,5000}",
            "[",
            "(" * 300 + ")" * 300,
            "^(" + "|".join(f"w{i}.*" for i in range(500)) + ")$",
            "\\ud800",
        ]
    )
    return json.dumps({"type": "string", "pattern": pattern, "maxLength": draw.choice([9, 10**7])})


def references(draw: Draw) -> str:
    count = draw.choices([1, 2, 300, 5000], [8, 8, 8, 1])[0]
    link = draw.choice(
        [
            "REF",
            '{"anyOf": [REF, REF]}',
            '{"allOf": [REF, {"type": "object"}]}',
            '{"type": "array", "items": REF}',
            '{"type": "object", "properties": {"a": REF, "b": REF}}',
        ]
    )
    refs = [f'{{"$ref": "#/$defs/d{i + 1}"}}' for i in range(count)]
    defs = {f"d{i}": json.loads(link.replace("REF", ref)) for i, ref in enumerate(refs)}
    last = draw.choice([{"type": "null"}, {"$ref": "#/$defs/d0"}, {"$ref": "#"}, {"$ref": "nope"}])
    return json.dumps({"$ref": "#/$defs/d0", "$defs": {**defs, f"d{count}": last}})


def crossed(draw: Draw) -> str:
    name = draw.choice(["anyOf", "oneOf"])
    width, parts = draw.choice([(3, 4), (10, 10), (100, 2)])
    options = [
        {name: [{"properties": {f"p{i}-{j}": {"type": "string"}}} for j in range(width)]}
        for i in range(parts)
    ]
    return json.dumps({"allOf": options})


def odd(draw: Draw) -> str:
    return draw.choice(
        [
            '{"type":"string","const":"\\ud800"}',
            '{"enum":["\\udfff\\ud800"]}',
            '{"properties":{"\\ud800":{}},"required":["\\ud800"]}',
            '{"type":[]}',
            '{"type":"object","properties":[]}',
            '{"required":"a"}',
            '{"minimum":1e400}',
            '{"minimum":NaN}',
            '{"patternProperties":{"^a":{"type":"integer"},"a$":{"type":"string"}}}',
            '{"additionalProperties":{"additionalProperties":{"$ref":"#"}}}',
            '{"type":"object","propertyNames":{}}',
            '{"x-guidance":{"item_separator":"(a+)+"}}',
            "true",
            "false",
            "{}",
            "null",
            '"',
        ]
    )


SCHEMAS: list[Callable[[Draw], str]] = [
    *(deep, wide, large, enums, patterns, references, crossed, odd),
]
