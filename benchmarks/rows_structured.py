"""Row 14: objects whose keys are long, compared with free text of the same length."""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import prompts
from benchmarks.client import Reply, stream
from benchmarks.figures import Measure, Row, Verdict, at_least, ratios
from benchmarks.stand import LLAMA_SERVER, OURS, Stand, take_turns

_KEYS = {
    "is_the_animal_in_this_description_a_domestic_one": {"type": "boolean"},
    "preferred_kind_of_food_of_the_animal": {"enum": ["meat", "grass", "fish"]},
    "estimated_age_of_the_animal_in_years": {"type": "integer", "minimum": 0, "maximum": 30},
    "does_the_animal_usually_sleep_during_the_day": {"type": "boolean"},
    "number_of_legs_that_the_animal_walks_on": {"enum": [2, 4, 6, 8]},
    "part_of_the_world_where_the_animal_is_found": {"enum": ["north", "south", "everywhere"]},
    "can_the_animal_be_trained_by_most_people": {"type": "boolean"},
    "usual_size_of_the_animal_compared_to_a_person": {"enum": ["smaller", "larger"]},
}
_SCHEMA = {
    "type": "object",
    "properties": _KEYS,
    "required": list(_KEYS),
    "additionalProperties": False,
}

Figures = tuple[float, float, float]
"""Tokens per second of an object and of text, and the object's seconds."""


def long_keys(stand: Stand) -> Row:
    """Most tokens of such an object are certain before the model is asked."""
    row = Row(14, "An object with long keys, and free text of the same length", "")
    sizes: list[int] = []

    def run(url: Callable[[], str], turn: int) -> Figures:
        stream(url(), _bound(prompts.warm_up(), {"type": "boolean"}))  # which has more to prepare
        thing = stream(url(), _bound(prompts.question(24, f"object {turn}", 512), _SCHEMA))
        again = prompts.question(24, f"text {turn}", thing.tokens)
        sizes.append(thing.tokens)
        return _rate(thing), _rate(stream(url(), again)), thing.last_at - thing.sent_at

    entrants = {name: partial(run, url) for name, url in stand.servers().items()}
    found = take_turns(entrants, stand.settings.repeat, row.notes, stand.drop, stand.release)
    row.settings = (
        f"{min(sizes, default=0)}–{max(sizes, default=0)} tokens after a prompt of about 50; "
        "from the request to the last token"
    )
    things, texts, seconds = (
        {name: [each[n] for each in values] for name, values in found.items()} for n in range(3)
    )
    row.measures.append(Measure("object", "tokens/s", things))
    row.measures.append(Measure("free text", "tokens/s", texts))
    row.measures.append(Measure("object", "s", seconds))
    for name in found:
        goal = at_least(1.5) if name == OURS else None
        row.verdicts.append(
            Verdict(f"{name}: object ÷ free text", ratios(things[name], texts[name]), goal)
        )
    for other in dict.fromkeys((LLAMA_SERVER, stand.same_file(LLAMA_SERVER))):
        if other in found and OURS in found:
            values = ratios(things[OURS], things[other])
            row.verdicts.append(Verdict(f"object, tokens/s: appliance ÷ {other}", values))
    return row


def _bound(body: prompts.Body, schema: dict[str, Any]) -> prompts.Body:
    wanted = {"type": "json_schema", "json_schema": {"name": "animal", "schema": schema}}
    return {**body, "ignore_eos": False, "response_format": wanted}


def _rate(reply: Reply) -> float:
    return reply.tokens / (reply.last_at - reply.sent_at)
