"""The metrics of one request, from its submission to its end."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.engine.protocol import (
    Accepted,
    Delta,
    Failed,
    Finished,
    Prefill,
    SequenceEvent,
    Timings,
)
from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    GenerationRequest,
    Prompt,
    SamplingParams,
    TextPrompt,
)
from appliance.metrics.registry import MOST_CALLERS, NOBODY, OTHERS, Metrics
from appliance.metrics.request_meter import RequestErrors, current_request

CHAT = ChatPrompt([ChatMessage("user", "hi")])


class Read:
    """The values of a scrape."""

    def __init__(self, metrics: Metrics) -> None:
        text = metrics.render("")[0].decode()
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._samples.get((name, frozenset(labels.items())))


def finished(reason: Any = "stop", *, prompt: int = 10, cached: int = 0, new: int = 3) -> Finished:
    timings = Timings(queued=0.5, prefill=0.25, decode=1.0)
    return Finished(
        id=1,
        reason=reason,
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=new,
        timings=timings,
    )


def request(prompt: Prompt, caller: str = "") -> GenerationRequest:
    return GenerationRequest(prompt=prompt, sampling=SamplingParams(), caller=caller)


def run(metrics: Metrics, *events: SequenceEvent, prompt: Prompt = CHAT, caller: str = "") -> None:
    forwarded: list[SequenceEvent] = []
    meter = metrics.watch("tiny", request(prompt, caller), forwarded.append)
    for event in events:
        meter(event)
    assert forwarded == list(events)


def test_a_reply_is_counted_by_model_and_caller() -> None:
    metrics = Metrics()
    run(
        metrics,
        Accepted(1, 10, 7),
        Prefill(1, 4, 4, "slot"),
        Prefill(1, 10, 4, "slot"),
        Delta(1, "a", 1),
        Delta(1, "bc", 3),
        finished(cached=4),
        caller="office",
    )
    read = Read(metrics)
    by = {"model": "tiny", "key": "office"}
    assert read("appliance_generated_tokens_total", **by) == 3
    assert read("appliance_prefilled_tokens_total", **by) == 6
    assert read("appliance_saved_tokens_total", **by) == 4
    assert read("appliance_time_to_first_token_seconds_count", **by) == 1
    assert read("appliance_inter_token_seconds_count", **by) == 2
    assert read("appliance_replies_total", **by, end="stop") == 1
    assert read("chat_generated_tokens_total") == 3
    assert read("chat_inference_duration_seconds_count") == 1
    assert read("completions_duration_seconds_count") == 0


def test_a_text_prompt_is_a_completion() -> None:
    metrics = Metrics()
    run(metrics, Accepted(1, 10, 7), Delta(1, "a", 1), finished(new=2), prompt=TextPrompt("x"))
    read = Read(metrics)
    assert read("completions_requests_total") == 1
    assert read("completions_tokens_total") == 2
    assert read("chat_generated_tokens_total") == 0


def test_a_prompt_that_a_second_worker_reads_again_is_counted_again() -> None:
    metrics = Metrics()
    run(metrics, Prefill(1, 8, 0), Prefill(1, 0, 0), Prefill(1, 10, 0), finished())
    assert Read(metrics)("appliance_prefilled_tokens_total", model="tiny", key=NOBODY) == 18


def test_of_a_cancelled_prompt_what_was_read_counts() -> None:
    metrics = Metrics()
    run(metrics, Prefill(1, 5, 2, "slot"), finished("cancelled", prompt=100, cached=2, new=0))
    read = Read(metrics)
    assert read("appliance_prefilled_tokens_total", model="tiny", key=NOBODY) == 3
    assert read("appliance_saved_tokens_total", model="tiny", key=NOBODY) == 2


def failing(metrics: Metrics) -> None:
    run(metrics, Accepted(1, 10, 7), Failed(1, "worker_died", "gone"))


def refused(metrics: Metrics) -> None:
    metrics.watch("tiny", request(CHAT), lambda _: None).refused()


@pytest.mark.parametrize("go_wrong", [failing, refused])
def test_without_a_request_of_http_it_counts_itself(go_wrong: Callable[[Metrics], None]) -> None:
    metrics = Metrics()
    go_wrong(metrics)
    read = Read(metrics)
    assert read("chat_completions_requests_total") == 1
    assert read("chat_completions_errors_total") == 1


@pytest.mark.parametrize("order", ["answered first", "broke first"])
@pytest.mark.parametrize("ok", [True, False])
def test_a_request_is_one_error_whatever_fails_and_when(order: str, ok: bool) -> None:
    metrics = Metrics()
    asked = metrics.start_request("chat")
    current_request.set(asked)
    try:
        if order == "answered first":
            asked.answered(ok=ok)
        for _ in range(3):
            failing(metrics)
        if order == "broke first":
            asked.answered(ok=ok)
    finally:
        current_request.set(None)
    read = Read(metrics)
    assert read("chat_completions_requests_total") == 1
    assert read("chat_completions_errors_total") == 1
    labels = {"model": "tiny", "key": NOBODY, "end": "worker_died"}
    assert read("appliance_replies_total", **labels) == 3


def test_a_request_that_went_well_is_no_error() -> None:
    errors: list[int] = []
    asked = RequestErrors(lambda: errors.append(1))
    asked.answered(ok=True)
    assert errors == []


def test_callers_beyond_a_number_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(MOST_CALLERS + 50):
        run(metrics, Delta(1, "a", 1), finished(), caller=f"caller {number}")
    read = Read(metrics)
    assert read("appliance_replies_total", model="tiny", key=OTHERS, end="stop") == 50
    assert read("appliance_replies_total", model="tiny", key="caller 0", end="stop") == 1


def test_many_threads_lose_nothing() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(50):
            run(metrics, Delta(1, "a", 1), Delta(1, "b", 2), finished(new=2))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Read(metrics)("chat_generated_tokens_total") == 800


def test_a_trace_is_a_line_without_any_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run(Metrics(tracing=True), Delta(1, "secret", 1), finished(cached=4), caller="office")
    run(Metrics(tracing=True), Failed(1, "worker_died", "secret"), caller="office")
    run(Metrics(), Delta(1, "secret", 1), finished())
    ended, failed = caplog.records
    assert ended.getMessage() == "chat stop"
    fields = vars(ended)
    assert (fields["model"], fields["caller"], fields["completion_tokens"]) == ("tiny", "office", 3)
    assert (fields["queued_seconds"], fields["cached_tokens"]) == (0.5, 4)
    assert fields["first_token_seconds"] >= 0
    assert (failed.getMessage(), vars(failed)["code"]) == ("chat failed", "worker_died")
    assert "secret" not in str(fields) + str(vars(failed))
