"""A real model's replies under any chat template, in this process: its weights, the step loop, and
the way from messages to tokens and from tokens to parts."""

import functools
import itertools
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from appliance.engine.protocol import Accepted, Delta, Event, Failed, Finished, Generate, Shutdown
from appliance.engine.types import ChatPrompt, GenerationRequest, SamplingParams
from appliance.worker.chat_template.sandbox import SandboxedGrammars, SandboxedTemplate
from appliance.worker.chat_template.template import ChatTemplate
from appliance.worker.constraints import check
from appliance.worker.input_processor import InputProcessor
from appliance.worker.runners.llama_cpp.runner import LlamaRunner
from appliance.worker.scheduler.step_loop import StepLoop
from tests.engine.conftest import load_of

_END = 120
"""Seconds."""


@dataclass
class Answer:
    """A reply, put together as a client does it."""

    finished: Finished
    content: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names and arguments."""
    tokens: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """What came, in order: `reasoning`, `content`, `call`."""


class _Runner(LlamaRunner):
    template: str | None = None

    @property
    def chat_template(self) -> str | None:
        return self.template


class _Template:
    """The template itself, which runs in a process of its own elsewhere."""

    def __init__(self, runner: LlamaRunner, source: str) -> None:
        special = runner.special_token_texts()
        self._template = ChatTemplate(
            source, bos=runner.bos, eos=runner.eos, special_tokens=special
        )

    def render(
        self,
        messages: Sequence[Any],
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        *,
        as_is: bool = False,
    ) -> list[tuple[str, bool]]:
        return self._template.render(messages, tools, variables or {}, as_is=as_is)


class RealModel:
    """Asked for one reply, or several, at a time."""

    def __init__(self, file: Path, **changes: object) -> None:
        load = load_of(str(file), **{"n_threads": 1, "n_ctx": 4096, **changes})
        self.runner = _Runner(load, lambda *_: None)
        self._events: dict[int, queue.SimpleQueue[Event]] = {}
        self._ids = itertools.count(1)
        self._loop = StepLoop(self.runner, load, self._take)
        self._thread = threading.Thread(target=self._loop.run)
        self._thread.start()

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Accepted | Delta | Finished | Failed):
                self._events[event.id].put(event)

    @functools.cache  # noqa: B019 - there are few, and they end with the process
    def _intake(self, template: str) -> InputProcessor:
        self.runner.template = template
        return InputProcessor(
            self.runner,
            cast(SandboxedTemplate, _Template(self.runner, template)),
            cast(SandboxedGrammars, SimpleNamespace(refusal=check.refusal)),
            self._take,
            self._loop.enqueue,
            self._loop.written,
        )

    def ask(self, template: str, prompt: ChatPrompt, *sampling: SamplingParams) -> list[Answer]:
        """A reply for each sampling, all at once.

        Raises:
            ValueError: one was refused.
        """
        intake = self._intake(template)
        self.runner.template = template
        ids = list(itertools.islice(self._ids, len(sampling)))
        for id, params in zip(ids, sampling, strict=True):
            self._events[id] = queue.SimpleQueue()
            intake.put(Generate(id, GenerationRequest(prompt=prompt, sampling=params)))
        return [self._answer(id) for id in ids]

    def _answer(self, id: int) -> Answer:
        content = reasoning = ""
        calls: list[tuple[str, str]] = []
        kinds: list[str] = []
        tokens: list[int] = []
        while True:
            event = self._events[id].get(timeout=_END)
            if isinstance(event, Failed):
                raise ValueError(f"{event.code} {event.param}: {event.message}")
            if isinstance(event, Finished):
                return Answer(event, content, reasoning, calls, tokens, kinds)
            if not isinstance(event, Delta):
                continue
            content += event.text
            tokens += event.new_tokens
            reasoning += event.reasoning
            for call in event.calls:
                if call.index == len(calls):
                    calls.append((call.name or "", ""))
                name, arguments = calls[call.index]
                calls[call.index] = (name, arguments + call.arguments)
            came = [("reasoning", event.reasoning), ("content", event.text), ("call", event.calls)]
            kinds += [kind for kind, what in came if what and kind not in kinds[-1:]]

    def close(self) -> None:
        self._loop.enqueue(Shutdown())
        self._thread.join()
        self.runner.close()


def conforms(schema: Any, text: str) -> bool:
    """Whether a text is JSON, and of the schema, as a validator that is not ours sees it."""
    import jsonschema_rs

    try:
        value = json.loads(text)
    except ValueError:
        return False
    return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(value)
