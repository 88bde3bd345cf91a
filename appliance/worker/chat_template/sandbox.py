"""A model's chat template, sandboxed: rendered in a process that is killed when it uses too much.

Jinja's sandbox keeps a template from files and code, but not from loops without end and texts of a
gigabyte. What it takes of a processor is measured, not how long it waits for one: that a machine is
busy with other things is not the template's fault. Any thread may render; one request is under
way at a time.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from appliance.engine.types import ChatMessage
from appliance.errors import ApplianceError, RequestError, Unavailable
from appliance.system.child_process import ChildProcess, ProcessAlarm
from appliance.worker.chat_template import sandbox_protocol
from appliance.worker.chat_template.sandbox_protocol import (
    MEMORY_LIMIT,
    TIME_LIMIT,
    TIMEOUT,
    Checked,
    CheckGrammar,
    Compile,
    Compiled,
    OutOfMemory,
    Render,
    Rendered,
    SandboxAnswer,
    TemplateRefused,
)

log = logging.getLogger(__name__)

END_SECONDS = 1.0
"""From the end of a process's output to its own end."""
KILLED = -9
"""How a process ends that somebody kills: the system, when memory is short."""
ATTEMPTS = 2
"""A process that died may have been killed by somebody else: another one is tried once."""


class TemplateTooCostly(RequestError):
    """What was asked of the process took too much."""


class _TooMuch(Exception):
    """The template took too much; the message says of what. The process is of no more use."""


class _Died(Exception):
    """The process is gone, or sent something that is not of the protocol."""


class _Busy(Exception):
    """Something else had the processor, or ended the process. It is of no more use."""


class _Child:
    """One process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = ChildProcess(command)
        self._started = False
        self._compiled: Compile | None = None

    def ask(self, template: Compile, messages: Render | None) -> SandboxAnswer:
        """Have the template compiled, if it isn't, and the messages rendered, if there are any.

        Raises:
            _TooMuch, _Busy, _Died: the process is to be closed.
        """
        self._start()
        if self._compiled is not template:
            answer = self._exchange(sandbox_protocol.encode(template))
            if not isinstance(answer, Compiled):
                return answer
            self._compiled = template
        if messages is None:
            return Compiled()
        return self._exchange(sandbox_protocol.encode(messages))

    def check(self, grammar: str) -> SandboxAnswer:
        """Have a grammar checked; raises what `ask` does."""
        self._start()
        return self._exchange(sandbox_protocol.encode(CheckGrammar(grammar)))

    def _start(self) -> None:
        if not self._started:
            self._exchange(b"", TIMEOUT)  # it imports what it needs, and runs nothing yet
            self._started = True

    def _exchange(self, frame: bytes, limit: float = TIME_LIMIT) -> SandboxAnswer:
        process = self._process
        alarm = ProcessAlarm(process, limit, TIMEOUT)
        alarm.start()
        try:
            process.send(frame)
            answer = sandbox_protocol.read_answer(process.output)
        except (OSError, ValueError) as ex:
            log.warning("the process for chat templates failed: %r", ex)
            answer = None
        finally:
            alarm.end()
        if isinstance(answer, OutOfMemory):
            raise _TooMuch(f"needs more than {MEMORY_LIMIT // 2**20} MB")
        if answer is not None:
            return answer
        alarm.join()
        if alarm.why == "too costly":
            raise _TooMuch(f"takes more than {limit:.0f} s of a processor")
        if alarm.why:
            raise _Busy
        raise _Busy if process.wait(END_SECONDS) == KILLED else _Died

    def close(self) -> None:
        """End it."""
        self._process.close()


class Sandbox:
    """A process that is replaced when it had to be killed."""

    def __init__(self, command: Sequence[str], what: str) -> None:
        """`what` takes too much, in refusals. The process is started with `command` when it is
        needed."""
        self._command = list(command)
        self._what = what
        self._lock = threading.Lock()
        # Linux kills a process that asked for it when the thread that started it ends, so the one
        # that starts processes here has to stay.
        self._starter = ThreadPoolExecutor(1, "sandbox starter")
        self._child: _Child | None = None
        self._closed = False

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            if self._child:
                self._child.close()
        self._starter.shutdown()

    def _start(self) -> _Child:
        self._child = self._starter.submit(_Child, self._command).result()
        return self._child

    def _ask(self, question: Callable[[_Child], SandboxAnswer], param: str) -> SandboxAnswer:
        """Under the lock.

        Raises:
            RequestError: it took too much, or the process ended by itself, twice.
            Unavailable: it was ended by somebody else, or had no processor, the second time.
        """
        failed: ApplianceError = Unavailable("the model is being unloaded")
        for _ in range(0 if self._closed else ATTEMPTS):
            try:
                return question(self._child or self._start())
            except _TooMuch as ex:
                self._replace()
                message = f"{self._what} {ex} and was stopped"
                raise TemplateTooCostly(message, param=param) from None
            except _Busy:
                self._replace()
                failed = Unavailable(f"the machine is too busy for {self._what}")
            except _Died:
                self._replace()
                message = f"the process for {self._what} ended unexpectedly"
                failed = RequestError(message, param=param)
        raise failed

    def _replace(self) -> None:
        """At once and not when it is needed: it starts in the time until then."""
        log.warning("the process for %s is replaced", self._what)
        if self._child:
            self._child.close()
        self._start()


class SandboxedGrammars(Sandbox):
    """Where grammars are tried before they come into the worker's process."""

    def __init__(self, command: Sequence[str]) -> None:
        """The process is started by the first grammar."""
        super().__init__(command, "its grammar")

    def refusal(self, grammar: str) -> str | None:
        """Why a grammar of llguidance can't be used; None: it can.

        Raises:
            RequestError: it takes more than 2 s of a processor or 256 MB, or ends the process.
            Unavailable: the machine is too busy for it.
        """
        with self._lock:
            answer = self._ask(lambda child: child.check(grammar), "")
        assert isinstance(answer, Checked | TemplateRefused)
        return answer.refusal if isinstance(answer, Checked) else answer.message


class SandboxedTemplate(Sandbox):
    """One model's template in a process of its own, which is replaced when it had to be killed."""

    def __init__(self, command: Sequence[str]) -> None:
        """Starts the process with `command` and does not wait for it."""
        super().__init__(command, "the model's chat template")
        self._start()
        self._template: Compile | None = None

    def compile(
        self, source: str | None, *, bos: str, eos: str, special_tokens: Iterable[str]
    ) -> None:
        """Take the model's template; None: ChatML. `special_tokens`: their texts.

        Returns at once: a model whose template is broken is of use without chats. `check` and
        every `render` raise what is wrong with it.
        """
        self._template = Compile(source, bos, eos, list(special_tokens))
        threading.Thread(target=self._compile, name="template", daemon=True).start()

    def check(self) -> None:
        """Wait until the template is compiled.

        Raises:
            ValueError: it is too long, no Jinja, or takes too much to compile.
            Unavailable: the machine is too busy for it.
        """
        try:
            with self._lock:
                answer = self._render(None)
        except RequestError as ex:
            raise ValueError(ex.message) from ex
        if isinstance(answer, TemplateRefused):
            raise ValueError(answer.message)

    def render(
        self,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        *,
        as_is: bool = False,
    ) -> list[tuple[str, bool]]:
        """See `ChatTemplate.render`; after `compile`.

        Raises:
            RequestError: the template refuses these messages, or takes more than 2 s of a processor
                or 256 MB for them; `param` is `messages`.
            Unavailable: the machine is too busy for it.
        """
        with self._lock:
            answer = self._render(Render(messages, tools, variables, as_is))
        if isinstance(answer, Rendered):
            return answer.segments
        assert isinstance(answer, TemplateRefused)
        raise RequestError(answer.message, param="messages")

    def _compile(self) -> None:
        try:
            self.check()
        except (ValueError, Unavailable) as ex:
            log.warning("this model can't chat: %s", ex)

    def _render(self, messages: Render | None) -> SandboxAnswer:
        """Under the lock; see `_ask`."""
        template = self._template
        assert template is not None
        return self._ask(lambda child: child.ask(template, messages), "messages")
