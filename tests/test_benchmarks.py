"""The arithmetic of the benchmarks, and their client's parsing of streams."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.config import paths
from benchmarks import prompts
from benchmarks.client import Arrived, BenchmarkError, read_reply, streams
from benchmarks.figures import (
    Measure,
    Row,
    Verdict,
    at_least,
    at_most,
    pairs,
    ratios,
    spread,
)
from benchmarks.peers import ServerOptions
from benchmarks.report import as_json, table
from benchmarks.servers import ROOT, Bare
from benchmarks.stand import take_turns
from tests.running import Running


def test_spread_is_that_of_the_values() -> None:
    found = spread([4.0, 1.0, 3.0, 10.0])
    assert (found.minimum, found.median, found.maximum, found.count) == (1.0, 3.5, 10.0, 4)
    with pytest.raises(ValueError, match="no value"):
        spread([])


def test_ratios_go_pair_by_pair() -> None:
    assert ratios([10.0, 30.0, 50.0], [5.0, 10.0]) == [2.0, 3.0]
    assert ratios([1.0, 2.0], [0.0, 4.0]) == [0.5]
    assert pairs([3.0, 5.0], [1.0, 1.5], lambda a, b: a - b) == [2.0, 3.5]


@pytest.mark.parametrize(
    ("verdict", "met"),
    [
        (Verdict("median above", [0.9, 1.0, 1.1], at_least(1.0)), True),
        (Verdict("median below", [0.9, 0.99, 9.0], at_least(1.0)), False),
        (Verdict("median small", [0.1, 0.25, 3.0], at_most(0.25)), True),
        (Verdict("median large", [0.1, 0.26, 0.27], at_most(0.25)), False),
        (Verdict("not measured", [], at_most(1.0)), False),
        (Verdict("no goal", [1.0]), None),
    ],
    ids=lambda value: value.name if isinstance(value, Verdict) else "",
)
def test_the_median_decides(verdict: Verdict, met: bool | None) -> None:
    assert verdict.met is met


def test_targets_take_turns_and_failures_are_reported() -> None:
    order: list[str] = []

    def run(name: str, turn: int) -> int:
        order.append(f"{name}{turn}")
        if name == "b" and turn == 1:
            raise BenchmarkError("no reply")
        return turn

    notes: list[str] = []
    dropped: list[str] = []
    entrants = {"a": lambda turn: run("a", turn), "b": lambda turn: run("b", turn)}
    assert take_turns(entrants, 3, notes, dropped.append) == {"a": [0, 1, 2], "b": [0]}
    assert order == ["a0", "b0", "a1", "b1", "a2"]
    assert notes == ["b failed: no reply"]
    assert dropped == ["b"]


def test_report_has_goal_and_every_value() -> None:
    row = Row(3, "Title", "settings", [Measure("time", "s", {"ours": [2.0, 1.0], "theirs": []})])
    row.verdicts = [Verdict("ratio", [0.7], at_most(0.5)), Verdict("good", [2.0], at_least(1.0))]
    row.notes = ["theirs took no part"]
    text = table(row)
    assert "goal ≤ 0.5: MISSED" in text and "goal ≥ 1: met" in text
    assert "theirs took no part" in text
    (found,) = json.loads(as_json({"repeat": 2}, [row]))["rows"]
    assert found["measures"][0]["of"]["ours"]["values"] == [2.0, 1.0]
    assert found["measures"][0]["of"]["ours"]["median"] == 1.5
    assert [verdict["met"] for verdict in found["verdicts"]] == [False, True]


# -- prompts ---------------------------------------------------------------------------------------


def test_no_run_has_the_prompts_of_another() -> None:
    code = "from benchmarks import prompts; print(prompts.words(40, 'a'))"
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout != runs[1].stdout
    assert prompts.words(40, "a") == prompts.words(40, "a") != prompts.words(40, "b")


def test_the_bare_loop_reads_what_the_appliance_reads(running: Running, tmp_path: Path) -> None:
    bodies = [prompts.question(24, f"length {n}", 4) for n in range(3)]
    sizes = {float(reply.prompt_tokens) for reply in streams(running.url, bodies)}
    loop = Bare(ServerOptions(str(paths.embedded_model()), 2048, 4, 1), tmp_path / "log")
    try:
        sizes |= {loop.alone(body)["prompt_tokens"] for body in bodies}
        took = loop.together(bodies)
    finally:
        loop.stop()
    assert len(sizes) == 1
    assert took["read_seconds"] > 0 < took["write_seconds"]


# -- the client ------------------------------------------------------------------------------------

Event = dict[str, Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ROLE: Event = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
USAGE: Event = {
    "choices": [],
    "usage": {
        "prompt_tokens": 40,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 30},
    },
}


def delta(text: str) -> Event:
    return {"choices": [{"delta": {"content": text}}], "usage": None}


def event(value: Event) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize("chunked", [True, False])
def test_times_are_those_of_the_first_and_the_last_text(chunked: bool) -> None:
    wrap = chunk if chunked else bytes
    head = HEAD + (b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n")
    arrived = Arrived(sent_at=10.0)
    arrived.add(head + wrap(event(ROLE)), 10.5)
    arrived.add(wrap(b": keep-alive\n\n"), 10.8)
    arrived.add(wrap(event(delta("Grüße"))), 11.0)
    arrived.add(wrap(event(delta(", "))) + wrap(event(delta("data: you"))), 13.0)
    arrived.add(wrap(event(USAGE)) + wrap(b"data: [DONE]\n\n"), 14.0)
    arrived.add(b"0\r\n\r\n" if chunked else b"", 15.0)
    reply = read_reply(arrived)
    assert reply.text == "Grüße, data: you"
    assert (reply.first_seconds, reply.last_at) == (1.0, 13.0)
    assert (reply.tokens, reply.prompt_tokens, reply.cached_tokens) == (5, 40, 30)
    assert reply.decode_rate == 2.0


def test_an_event_in_two_parts_came_with_the_second() -> None:
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    first, second = event(delta("one")), event(delta("two"))
    arrived = Arrived(sent_at=0.0)
    arrived.add(data + chunk(first[:9]) + b"%x\r\n" % len(first[9:]), 1.0)
    arrived.add(first[9:] + b"\r\n", 2.0)
    arrived.add(chunk(second) + b"0\r\n\r\n", 4.0)
    reply = read_reply(arrived)
    assert (reply.first_at, reply.last_at, reply.text) == (2.0, 4.0, "onetwo")
    assert reply.tokens == 2


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}", "refused"),
        (b"", "refused"),
        (HEAD + b"\r\ndata: [DONE]\n\n", "no text"),
        (HEAD + b"\r\n" + event({"error": {"message": "worker died"}}), "worker died"),
    ],
)
def test_what_is_no_reply_is_no_figure(raw: bytes, why: str) -> None:
    arrived = Arrived(sent_at=0.0)
    arrived.add(raw, 1.0)
    with pytest.raises(BenchmarkError, match=why):
        read_reply(arrived)


def test_one_token_has_no_rate() -> None:
    arrived = Arrived(sent_at=0.0)
    arrived.add(HEAD + b"\r\n" + event(delta("one")), 1.0)
    with pytest.raises(BenchmarkError, match="no rate"):
        _ = read_reply(arrived).decode_rate
