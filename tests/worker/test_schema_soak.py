"""Two thousand real replies to the schemas of llama.cpp's tests and of the JSON Schema Test Suite:
none is outside of its schema."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from appliance.config import paths
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams
from appliance.worker.chat_template.template import CHATML
from tests.worker.constraints import llama_cases
from tests.worker.constraints.test_json_schema import matcher, number
from tests.worker.constraints.test_suite import tried
from tests.worker.real_model import RealModel

ASKED = ChatPrompt([ChatMessage("user", "Give me an example, the first that you think of.")])
CLOSING = (b'"', b"]", b"}")
"""How tokens begin that end a text, a list or an object."""
HASTE = 4.0
"""By how much more each further pair of replies is hurried: added to the logits of what ends
something, and taken from those of what goes on with a comma."""
MOST_TOKENS = 48
MOST_CUT = 0.5
"""Of the replies: a text may go on for as long as it likes, and says nothing then."""


def schemas() -> dict[str, Any]:
    """All that are kept to, by name."""
    found: dict[str, Any] = {}
    for name, text, good in llama_cases.schemas():
        if good:
            try:
                matcher(text)
            except ValueError:
                continue
            found[f"llama.cpp: {name}"] = json.loads(text)
    return found | {f"JSON Schema: {case.name}": case.schema for case in tried()[0]}


def replies(model: RealModel, together: int) -> Iterator[tuple[str, Any, str, bool]]:
    """Name, schema, reply, and whether it came to its end; so many of each schema.

    The first two are the model's own way, and what is certain is not sampled. Each further pair is
    hurried more to end what it has begun: at random, small models write texts without end.
    """
    pieces = [(token, model.runner.token_to_bytes(token)) for token in range(model.runner.n_vocab)]
    more = [token for token, piece in pieces if b"," in piece]
    ends = [token for token, piece in pieces if piece.startswith(CLOSING) and b"," not in piece]
    ends += model.runner.ends
    for name, schema in schemas().items():
        params = []
        for n in range(together):
            haste = HASTE * (n // 2)
            bias = [*((token, haste) for token in ends), *((token, -haste) for token in more)]
            params.append(
                SamplingParams(
                    json_schema=json.dumps(schema),
                    temperature=1.2,
                    logit_bias=tuple(bias) if haste else (),
                    seed=n,
                    max_tokens=MOST_TOKENS,
                )
            )
        for answer in model.ask(CHATML, ASKED, *params):
            yield name, schema, answer.content, answer.finished.reason == "stop"


def conforms(schema: Any, text: str) -> bool:
    """Whether a reply is JSON, and of its schema."""
    try:
        value = json.loads(text, parse_float=number)
    except ValueError:
        return False
    try:
        judge: Any = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    except jsonschema_rs.ValidationError:
        # One of llama.cpp's has a list of items, as older drafts have it.
        judge = jsonschema_rs.Draft7Validator(schema, validate_formats=True)
    return bool(judge.is_valid(value))


def keeps_to_all(file: Path, together: int) -> int:
    """The number of replies that came to their ends; all conform."""
    model = RealModel(file, n_seq_max=together, n_ctx=8192)
    counts: Counter[tuple[str, str]] = Counter()
    outside = []
    try:
        for name, schema, text, ended in replies(model, together):
            counts[name.partition(": ")[0], "whole" if ended else "cut"] += 1
            if ended and not conforms(schema, text):
                outside.append((name, text))
    finally:
        model.close()
    print(dict(counts))
    assert outside == []
    cut = sum(count for (_, how), count in counts.items() if how == "cut")
    assert cut <= MOST_CUT * counts.total()
    return counts.total() - cut


@pytest.mark.soak
def test_two_thousand_replies() -> None:
    assert keeps_to_all(paths.embedded_model(), 10) >= 2000


@pytest.mark.soak
def test_another_model(gemma: Path) -> None:
    assert keeps_to_all(gemma, 4) >= 500
