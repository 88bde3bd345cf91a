"""Templates that use too much time or memory: stopped, reported, no effect on later requests."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.engine.types import ChatMessage
from appliance.errors import RequestError, Unavailable
from appliance.worker.chat_template import sandbox
from appliance.worker.chat_template.sandbox import SandboxedTemplate
from appliance.worker.chat_template.sandbox_protocol import TIME_LIMIT

CODE = (
    "import sys; from appliance.worker.chat_template.sandbox_process import main; sys.exit(main())"
)
COMMAND = [sys.executable, "-c", CODE]
PATIENCE = 20.0
"""Seconds that an operation may take on a busy machine before a test fails."""

MakeGuard = Callable[[str | None], SandboxedTemplate]


@pytest.fixture
def guard_of() -> Iterator[MakeGuard]:
    made: list[SandboxedTemplate] = []

    def make(source: str | None) -> SandboxedTemplate:
        guard = SandboxedTemplate(COMMAND)
        made.append(guard)
        guard.compile(source, bos="<s>", eos="</s>", special_tokens=["<|im_end|>"])
        guard.check()
        return guard

    yield make
    for guard in made:
        guard.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[SandboxedTemplate]:
    """A guard whose template repeats the message."""
    guard = SandboxedTemplate(COMMAND)
    guard.compile("{{ messages[0].content }}", bos="", eos="", special_tokens=["<|im_end|>"])
    yield guard
    guard.close()


def user_messages(content: str) -> list[ChatMessage]:
    return [ChatMessage("user", content)]


def text_of(segments: list[tuple[str, bool]]) -> str:
    return "".join(text for text, _ in segments)


def children(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The processes that render templates for `process`, by default for this one."""
    alive = (process or psutil.Process()).children()
    return [child for child in alive if CODE in child.cmdline()]


LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
TOO_LONG, TOO_MUCH = "takes more than 2 s of a processor", "needs more than 256 MB"
# `one` and `many` come from the message: constants are computed when a template is compiled.
BOMBS = {
    "nested loops": (LOOPS, TOO_LONG),
    "calls without number": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) + f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}",
        TOO_LONG,
    ),
    "a number in one long step of C": ("{{ (many ** 8) ** (many ** 2) }}", TOO_LONG),
    "a text of 500 MB": ("{{ one * (500 * many * many) }}", TOO_MUCH),
    "a text that doubles": (
        "{% set s = namespace(t=one) %}{% for i in range(40) %}{% set s.t = s.t * 2 %}{% endfor %}",
        TOO_MUCH,
    ),
    "a list that doubles": (
        "{% set s = namespace(l=[1]) %}{% for i in range(40) %}{% set s.l = s.l * 2 %}{% endfor %}",
        TOO_MUCH,
    ),
    "lists in lists": (
        (
            "{% set s = namespace() %}{% for i in range(9999) %}"
            "{% set s.l = [s.l, [i] * 99999] %}{% endfor %}"
        ),
        "was stopped",
    ),
    "a wide field": ("{{ '%*d' % (many ** 3, 1) }}", TOO_MUCH),
    "a filter that pads": ("{{ one | center(many ** 3) }}", TOO_MUCH),
    "a long output in small parts": (
        "{% for i in range(99999) %}{{ one * 9999 }}{% endfor %}",
        TOO_MUCH,
    ),
    "a prompt that no model reads": ("{{ one * (40 * many * many) }}", "a prompt of 40000000"),
    "a macro that calls itself": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "Recursion"),
    "a template that says no": ("{{ raise_exception('no ' ~ messages[0].role) }}", "no user"),
    "half a character": ("{{ '\\ud800' }}", "failed"),
    "a complaint without end": ("{{ raise_exception(one * many * many) }}", "xxx"),
}


@pytest.mark.parametrize(("bomb", "why"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_and_the_next_chat_rendered(
    bomb: str, why: str, guard_of: MakeGuard
) -> None:
    guard = guard_of(
        "{% if messages[0].content == 'bomb' %}{% set one = 'x' %}"
        "{% set many = messages[0].content | length * 250 %}"
        + bomb
        + "{% else %}{{ messages[0].content }}{% endif %}"
    )
    assert text_of(guard.render(user_messages("fine"))) == "fine"
    with pytest.raises(RequestError) as caught:
        guard.render(user_messages("bomb"))
    assert caught.value.message.startswith("the model's chat template")
    assert why in caught.value.message
    assert len(caught.value.message) < 1000
    assert caught.value.param == "messages"
    assert text_of(guard.render(user_messages("fine"))) == "fine"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{% for %}", "compile"),
        ("x" * 70_000, "70000 characters"),
        ("{{ " + "(" * 30_000 + ")" * 30_000 + " }}", "compile"),
        ("{% if 1 %}" * 5000 + "{% endif %}" * 5000, "template"),
        ("{{ 9999999999999999 ** 999999999 }}", TOO_LONG),
    ],
)
def test_a_failed_compilation_is_reported(source: str, why: str) -> None:
    guard = SandboxedTemplate(COMMAND)
    try:
        guard.compile(source, bos="", eos="", special_tokens=[])
        with pytest.raises(ValueError, match=why) as caught:
            guard.check()
        assert "chat template" in str(caught.value)
        with pytest.raises(RequestError, match=why):
            guard.render(user_messages("fine"))
        guard.compile(None, bos="", eos="", special_tokens=[])
        guard.check()
        assert "fine" in text_of(guard.render(user_messages("fine")))
    finally:
        guard.close()


def test_control_tokens_typed_by_a_person_stay_text(guard_of: MakeGuard) -> None:
    assert guard_of(None).render(user_messages("a<|im_end|>b")) == [
        ("<|im_start|>user\na", True),
        ("<|im_end|>", False),
        ("b<|im_end|>\n<|im_start|>assistant\n", True),
    ]


@settings(deadline=None)
@given(
    st.text() | st.sampled_from(["\x00", "\ue0f00\ue0f1", "🙂\r\n\u2028", "{{ 1 }}", "x" * 99_999])
)
def test_a_message_comes_back_as_it_was(echo: SandboxedTemplate, content: str) -> None:
    assert text_of(echo.render(user_messages(content))) == content


def test_messages_tools_and_variables_arrive(guard_of: MakeGuard) -> None:
    guard = guard_of(
        "{{ messages[1].tool_calls[0].function.arguments.a }}|{{ tools[0].function.name }}|"
        "{{ enable_thinking }}|{{ messages[0].content is none }}"
    )
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": None},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    rendered = guard.render(messages, tools, {"enable_thinking": False})
    assert text_of(rendered) == "1|f|False|False"


def test_two_threads_render_at_once(echo: SandboxedTemplate) -> None:
    def render(name: str) -> bool:
        contents = [f"{name} {n} " * 50 for n in range(50)]
        return all(text_of(echo.render(user_messages(content))) == content for content in contents)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(render, ["a", "b"])) == [True, True]


def test_the_process_outlives_the_thread_that_started_it(guard_of: MakeGuard) -> None:
    guards: list[SandboxedTemplate] = []

    def start() -> None:
        guards.append(guard_of("{% if messages[0].content == 'bomb' %}" + LOOPS + "{% endif %}ok"))

    def replace() -> None:
        with pytest.raises(RequestError):
            guards[0].render(user_messages("bomb"))
        guards[0].render(user_messages("fine"))

    for task in (start, replace):
        before = {child.pid for child in children()}
        thread = threading.Thread(target=task)
        thread.start()
        thread.join()
        (fresh,) = {child.pid for child in children()} - before
        assert text_of(guards[0].render(user_messages("fine"))) == "ok"
        assert fresh in {child.pid for child in children()}


def child_of(guard_of: MakeGuard, source: str | None) -> tuple[SandboxedTemplate, psutil.Process]:
    before = {child.pid for child in children()}
    guard = guard_of(source)
    (child,) = (child for child in children() if child.pid not in before)
    return guard, child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_somebody_else_ends_is_replaced(
    number: signal.Signals, guard_of: MakeGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "TIMEOUT", 5.0)
    guard, child = child_of(guard_of, None)
    child.send_signal(number)
    assert "fine" in text_of(guard.render(user_messages("fine")))
    assert child.pid not in {child.pid for child in children()}


def test_a_process_that_has_to_wait_for_a_processor_is_waited_for(guard_of: MakeGuard) -> None:
    """It is suspended for far longer than it may run."""
    guard, child = child_of(guard_of, None)
    child.suspend()
    rendered: list[list[tuple[str, bool]]] = []
    asking = threading.Thread(target=lambda: rendered.append(guard.render(user_messages("fine"))))
    asking.start()
    asking.join(2 * TIME_LIMIT)
    assert asking.is_alive()
    child.resume()
    asking.join(PATIENCE)
    assert "fine" in text_of(rendered[0])
    assert child.pid in {child.pid for child in children()}


def test_a_machine_that_is_too_busy_is_no_fault_of_the_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "TIMEOUT", 2.0)
    guard = SandboxedTemplate([sys.executable, "-c", "import time; time.sleep(999)"])
    try:
        guard.compile(None, bos="", eos="", special_tokens=[])
        with pytest.raises(Unavailable, match="too busy"):
            guard.render(user_messages("fine"))
        monkeypatch.undo()
        guard._command = COMMAND
        guard._replace()
        assert "fine" in text_of(guard.render(user_messages("fine")))
    finally:
        guard.close()


def test_a_process_that_ends_by_itself_every_time_is_the_template_s_fault() -> None:
    guard = SandboxedTemplate([sys.executable, "-c", "import sys; sys.exit(3)"])
    try:
        guard.compile(None, bos="", eos="", special_tokens=[])
        with pytest.raises(RequestError, match="ended unexpectedly"):
            guard.render(user_messages("fine"))
    finally:
        guard.close()


WORKER = f"""
import sys
from appliance.worker.chat_template.sandbox import SandboxedTemplate
guard = SandboxedTemplate([sys.executable, "-c", {CODE!r}])
guard.compile(sys.argv[1], bos="", eos="", special_tokens=[])
guard.check()
print("ready", flush=True)
guard.render([{{"role": "user", "content": "hi"}}]) if len(sys.argv) > 2 else sys.stdin.read()
"""


@pytest.mark.parametrize("arguments", [["idle"], [LOOPS, "render"]], ids=["idle", "rendering"])
def test_the_process_dies_with_the_worker(arguments: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"ready\n"
        (child,) = children(psutil.Process(worker.pid))
        spent = child.cpu_times().user
        while arguments[0] == LOOPS and child.cpu_times().user < spent + 0.1:
            time.sleep(0.01)
        worker.kill()
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(psutil.NoSuchProcess):
            while child.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline
                time.sleep(0.01)
