"""The process that compiles and renders a model's chat template, or checks grammars, within bounds.

Requests come on stdin, answers go to stdout, log lines to stderr. It ends when the worker does.
"""

import faulthandler
import functools
import logging
import os
import sys

from appliance.errors import RequestError
from appliance.system.memory import give_back_freed
from appliance.system.process_setup import limit_memory, obey_parent_alone, take_pipes
from appliance.worker.chat_template import sandbox_protocol
from appliance.worker.chat_template.sandbox_protocol import (
    MEMORY_LIMIT,
    TIMEOUT,
    Checked,
    CheckGrammar,
    Compile,
    Compiled,
    OutOfMemory,
    Rendered,
    SandboxAnswer,
    SandboxRequest,
    Started,
    TemplateRefused,
)
from appliance.worker.chat_template.template import CHATML, ChatTemplate

log = logging.getLogger(__name__)

MAX_PROMPT = 32 * 1024 * 1024
"""Characters; no context holds as many."""
LAST_RESORT = 2 * TIMEOUT
"""Seconds after which the process ends itself in the middle of a request: the worker does that much
earlier, unless it is gone."""


class Renderer:
    """Answers requests, one after the other."""

    def __init__(self) -> None:
        self._template: ChatTemplate | None = None

    def answer(self, request: SandboxRequest) -> bytes:
        """One whole frame.

        Raises:
            MemoryError: there wasn't enough.
        """
        try:
            return sandbox_protocol.encode(self._answer(request))
        except MemoryError:
            raise
        except RequestError as ex:
            return sandbox_protocol.encode(TemplateRefused(ex.message))
        except RecursionError:
            return sandbox_protocol.encode(TemplateRefused("the chat is nested too deep"))
        except Exception as ex:
            log.exception("a chat template made what can't be sent")
            message = f"the model's chat template failed: {type(ex).__name__}"
            return sandbox_protocol.encode(TemplateRefused(message))

    def _answer(self, request: SandboxRequest) -> SandboxAnswer:
        if isinstance(request, CheckGrammar):
            from appliance.worker.constraints import check

            _prepare_for_grammars(check.STACK_BYTES)
            return Checked(check.refusal(request.grammar))
        if isinstance(request, Compile):
            source = CHATML if request.source is None else request.source
            try:
                self._template = ChatTemplate(
                    source, bos=request.bos, eos=request.eos, special_tokens=request.special_tokens
                )
            except ValueError as ex:
                return TemplateRefused(str(ex))
            return Compiled()
        if self._template is None:
            return TemplateRefused("no chat template was compiled")
        segments = self._template.render(
            request.messages, request.tools, request.variables, as_is=request.as_is
        )
        length = sum(len(text) for text, _ in segments)
        if length > MAX_PROMPT:
            return TemplateRefused(
                f"the model's chat template made a prompt of {length} characters"
            )
        return Rendered(segments)


@functools.cache
def _prepare_for_grammars(stack: int) -> None:
    """They may take long, and are not to slow down the replies of others; and much memory, which
    the next one needs again."""
    give_back_freed()
    if sys.platform != "win32":
        import resource

        os.nice(5)
        now, most = resource.getrlimit(resource.RLIMIT_STACK)
        if now == resource.RLIM_INFINITY or now > stack:
            resource.setrlimit(resource.RLIMIT_STACK, (stack, most))


def main() -> int:
    """Entry of the process. Returns the exit code."""
    requests, answers = take_pipes(logging.INFO)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    obey_parent_alone()
    if not limit_memory(MEMORY_LIMIT):
        log.info("the memory of chat templates is not limited on this system")
    renderer = Renderer()
    frame = sandbox_protocol.encode(Started())
    try:
        while True:
            answers.write(frame)
            answers.flush()
            request = sandbox_protocol.read_request(requests)
            if request is None:
                return 0
            # A thread of C: it does not wait for Python's lock, which C code may hold for long.
            faulthandler.dump_traceback_later(LAST_RESORT, exit=True, file=nowhere)
            frame = renderer.answer(request)
            faulthandler.cancel_dump_traceback_later()
    except MemoryError:
        # What is left of the memory may be in pieces: the next request gets a new process.
        answers.write(sandbox_protocol.encode(OutOfMemory()))
        answers.flush()
        return 1
    except BrokenPipeError:
        return 0
