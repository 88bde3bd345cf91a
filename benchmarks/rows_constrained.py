"""Row 18: what a constraint costs the reply that keeps to it, and hostile ones the others."""

import itertools
import json
import threading
from collections.abc import Callable
from functools import partial
from statistics import mean
from typing import Any

import httpx

from benchmarks import prompts
from benchmarks.client import stream, streams
from benchmarks.figures import Measure, Row, Verdict, at_least, ratios
from benchmarks.servers import Appliance
from benchmarks.stand import Stand, take_turns
from tests.worker.constraints import hostile

_FREE = "free"
_CONSTRAINED = "constrained"
_PLAIN = "plain requests"
_HOSTILE = "hostile ones"
_STREAMS = 2
_CLIENTS = 6
_LONGEST = 65_536
"""Characters of a grammar that the API takes."""
_JSON = {"Content-Type": "application/json"}
_ANY_TEXT = r"root ::= [^\x00]*"


def constraints(stand: Stand) -> Row:
    """Decode under a grammar; and of two replies beside six clients with hostile grammars, compared
    with six clients whose requests are as long and have none."""
    settings = stand.settings
    row = Row(
        18,
        "Grammars: decode under one, and beside hostile ones",
        f"{settings.max_tokens} tokens; {_STREAMS} replies beside {_CLIENTS} clients",
    )
    ours = stand.start_ours("constraints", slots=settings.slots, threads=settings.threads)
    try:
        stream(ours.url, prompts.question(24, "warm-up", 16) | {"grammar": _ANY_TEXT})
        kinds = {_FREE: {}, _CONSTRAINED: {"grammar": _ANY_TEXT}}
        alone = take_turns(
            {
                name: partial(_alone, ours, settings.max_tokens, more)
                for name, more in kinds.items()
            },
            settings.repeat,
            row.notes,
        )
        numbers = itertools.count()
        others = {_PLAIN: _plain, _HOSTILE: _hostile}
        beside = take_turns(
            {
                name: partial(_beside, ours, 4 * settings.max_tokens, other, numbers)
                for name, other in others.items()
            },
            settings.repeat,
            row.notes,
        )
    finally:
        ours.stop()
    row.measures.append(Measure("decode", "tokens/s", alone))
    row.measures.append(Measure("each reply beside", "tokens/s", beside))
    costs = ratios(alone[_CONSTRAINED], alone[_FREE])
    row.verdicts.append(Verdict(f"decode: {_CONSTRAINED} ÷ {_FREE}", costs, at_least(0.95)))
    pace = ratios(beside[_HOSTILE], beside[_PLAIN])
    row.verdicts.append(Verdict(f"pace beside {_HOSTILE} ÷ {_PLAIN}", pace, at_least(0.9)))
    return row


def _alone(ours: Appliance, tokens: int, more: dict[str, Any], turn: int) -> float:
    return stream(ours.url, prompts.question(24, f"{more} {turn}", tokens) | more).decode_rate


def _beside(
    ours: Appliance,
    tokens: int,
    other: Callable[[int], str],
    numbers: "itertools.count[int]",
    turn: int,
) -> float:
    """Mean tokens/s of each reply while the clients ask one thing after the other."""
    enough = threading.Event()

    def client() -> None:
        with httpx.Client(base_url=ours.url, timeout=180) as http:
            while not enough.is_set():
                body = other(next(numbers)).encode(errors="replace")
                http.post("/v1/chat/completions", content=body, headers=_JSON)

    clients = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    for each in clients:
        each.start()
    try:
        bodies = [prompts.question(24, f"beside {turn} {n}", tokens) for n in range(_STREAMS)]
        return mean(reply.decode_rate for reply in streams(ours.url, bodies))
    finally:
        enough.set()
        for each in clients:
            each.join()


def _plain(number: int) -> str:
    """As long a reply as the hostile request of that number has, without its constraint."""
    return json.dumps(_body(number))


def _hostile(number: int) -> str:
    sampling = hostile.sampling(number)
    body = _body(number) | {"temperature": sampling.temperature}
    body["logit_bias"] = {str(token): -100 for token, _ in sampling.logit_bias[:1000]}
    if sampling.grammar is not None:
        return json.dumps(body | {"grammar": sampling.grammar[:_LONGEST]})
    # The schema as it is: some are nested deeper than Python's JSON module goes.
    schema = f'{{"name": "hostile", "schema": {sampling.json_schema}}}'
    wanted = f'{{"type": "json_schema", "json_schema": {schema}}}'
    return f'{json.dumps(body)[:-1]}, "response_format": {wanted}}}'


def _body(number: int) -> dict[str, Any]:
    return {
        "messages": [prompts.message("user", f"{number}:")],
        "max_tokens": hostile.sampling(number).max_tokens,
    }
