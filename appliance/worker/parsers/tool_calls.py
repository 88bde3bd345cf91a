"""Tool calls, separated from the answer while the model writes them. Pure Python."""

import enum
import re
from collections.abc import Callable, Collection

from appliance.worker.parsers.base import (
    Content,
    OutputPart,
    ToolCallArguments,
    ToolCallBegan,
    merge_parts,
    new_call_id,
    possible_start,
)
from appliance.worker.parsers.json_call import CharResult, JsonCallParser


class ToolFormat(enum.Enum):
    """How a family of models writes calls."""

    HERMES = "hermes"
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>`, several of them: Hermes, Qwen."""
    LLAMA = "llama"
    """The bare object `{"name": …, "parameters": {…}}` instead of an answer, after `<|python_tag|>`
    or not, several with `;` between them: Llama 3.x."""
    MISTRAL = "mistral"
    """`[TOOL_CALLS][{"name": …, "arguments": {…}}, …]`: Mistral."""
    MISTRAL_NAMED = "mistral-named"
    """`[TOOL_CALLS]name[ARGS]{…}`, several of them: Mistral since 2025."""
    HARMONY = "harmony"
    """A channel of its own, see `harmony`: gpt-oss."""


HERMES, HERMES_END = "<tool_call>", "</tool_call>"
PYTHON_TAG = "<|python_tag|>"
TOOL_CALLS, CALL_ID, ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
_OPENING = {
    ToolFormat.HERMES: HERMES,
    ToolFormat.LLAMA: PYTHON_TAG,
    ToolFormat.MISTRAL: TOOL_CALLS,
    ToolFormat.MISTRAL_NAMED: TOOL_CALLS,
}
_LABEL = re.compile(r"[\w.\-]+(\[CALL_ID\]\w*)?")
_LONGEST_LABEL = 160
"""Characters between Mistral's marks: a name, and perhaps an id."""


class ToolCallParser:
    """Finds the calls in one reply. Implements `ReplyParser`.

    What turns out to be no call is content, unchanged; white space next to a call belongs to it
    unless content follows. Between marks the model may name any function; a bare object is a call
    only of a function that was offered, since it may as well be the answer.
    """

    def __init__(self, format: ToolFormat, names: Collection[str]) -> None:
        """`names`: the functions that were offered."""
        self._format = format
        self._mark = _OPENING[format]
        self._names = frozenset(names)
        # Bare objects: one may open the reply, and others may follow it.
        self._chained = self._bare = format is ToolFormat.LLAMA
        self._buffer = ""
        self._out: list[OutputPart] = []
        self._state: Callable[[], bool] = self._in_text
        # An attempt at a call: the text so far, and how much of it is content if it fails. The rest
        # is read again.
        self._held = ""
        self._spent = 0
        self._call = JsonCallParser(None)
        self._in_list = False
        self._n_calls = 0
        self._began = False
        self._after_call = False

    def feed(self, text: str) -> list[OutputPart]:
        self._buffer += text
        self._run_states()
        return self._taken()

    def finish(self) -> list[OutputPart]:
        while self._held:
            self._give_up()
            self._run_states()
        # What is left after a call is white space, or its closing tag cut short.
        ended = self._state in (self._behind, self._in_call)
        if not ended and not (self._after_call and not self._buffer.strip()):
            self._out.append(Content(self._buffer))
        self._buffer = ""
        return self._taken()

    # -- states: each does what it can with the buffer; True: the next state is to go on ----------

    def _in_text(self) -> bool:
        text = self._buffer
        if self._bare:
            begun = text.lstrip()
            if not begun:
                return False
            if begun.startswith("{"):
                self._attempt(len(text) - len(begun), spend=1)
                return True
            self._bare = False
        at = text.find(self._mark)
        if at >= 0:
            before = text[:at].rstrip()
            self._emit(before)
            self._attempt(at + len(self._mark) - len(before))
            return True
        certain = text[: len(text) - possible_start(text, self._mark)].rstrip()
        self._emit(certain)
        return False

    def _opening(self) -> bool:
        """Between a mark and a call."""
        text = self._buffer.lstrip()
        self._hold(len(self._buffer) - len(text))
        if not text:
            return False
        may_list = self._mark == TOOL_CALLS and not self._in_list
        if text[0] == "[" and may_list:
            self._in_list = True
            self._hold(1)
        elif text[0] == "{":
            self._begin(JsonCallParser(self._names if self._chained else None))
        elif may_list:
            self._state = self._in_label
        else:
            self._give_up()
        return True

    def _in_label(self) -> bool:
        """Between Mistral's marks."""
        label, mark, _ = self._buffer.partition(ARGS)
        if mark and len(label) <= _LONGEST_LABEL and _LABEL.fullmatch(label):
            self._hold(len(label) + len(mark))
            self._begin(JsonCallParser.named(label.partition(CALL_ID)[0]))
        elif not mark and len(label) < _LONGEST_LABEL + len(ARGS) and _may_be_label(label):
            return False
        else:
            self._give_up()
        return True

    def _in_call(self) -> bool:
        result, used = CharResult.MORE, 0
        while result is CharResult.MORE and used < len(self._buffer):
            result = self._call.feed(self._buffer[used])
            used += result is not CharResult.BROKEN
        self._hold(used)
        if self._call.certain:
            self._emit_call()
        if result is CharResult.FAILED:
            self._give_up()
        elif result is not CharResult.MORE:
            self._after_call = True
            self._state = self._behind
        return result is not CharResult.MORE

    def _behind(self) -> bool:
        """After a call: its closing tag, or what separates it from the next one."""
        text = self._buffer.lstrip()
        space = len(self._buffer) - len(text)
        if self._format is ToolFormat.HERMES:
            # Models are generous with closing braces.
            text = self._buffer.lstrip("} \t\r\n")
            if text.startswith(HERMES_END):
                self._buffer = text[len(HERMES_END) :]
            elif HERMES_END.startswith(text):
                return False
            self._state = self._in_text
        elif not text:
            return False
        elif self._in_list and text[0] == "]":
            self._in_list = False
            self._buffer = text[1:]
            self._state = self._in_text
        elif text[0] == ("," if self._in_list else ";" if self._chained else None):
            self._attempt(space + 1)
        elif self._chained and text[0] == "{":
            self._attempt(space, spend=1)
        else:
            self._in_list = False
            self._state = self._in_text
        return True

    # -- what they share -------------------------------------------------------------------------

    def _run_states(self) -> None:
        while self._state():
            pass

    def _taken(self) -> list[OutputPart]:
        out, self._out = self._out, []
        return merge_parts(out)

    def _emit(self, text: str) -> None:
        """The buffer begins with content."""
        if text:
            self._out.append(Content(text))
            self._buffer = self._buffer[len(text) :]
            self._after_call = False

    def _hold(self, size: int) -> None:
        """The buffer begins with what may be part of a call."""
        self._held += self._buffer[:size]
        self._buffer = self._buffer[size:]

    def _attempt(self, size: int, *, spend: int = 0) -> None:
        """The buffer begins with `size` characters that stand before a call; if none follows, they
        are content, and `spend` more."""
        self._bare = False
        self._hold(size)
        self._spent = size + spend
        self._state = self._opening

    def _begin(self, call: JsonCallParser) -> None:
        self._call = call
        self._began = False
        self._state = self._in_call

    def _emit_call(self) -> None:
        self._held = ""
        if not self._began:
            self._began = True
            self._out.append(ToolCallBegan(self._n_calls, new_call_id(), self._call.name or ""))
            self._n_calls += 1
        self._out.append(ToolCallArguments(self._n_calls - 1, self._call.take_arguments()))

    def _give_up(self) -> None:
        """It was no call."""
        self._buffer = self._held + self._buffer
        self._held = ""
        self._in_list = False
        self._state = self._in_text
        self._emit(self._buffer[: self._spent])


def _may_be_label(text: str) -> bool:
    """Whether a label, or Mistral's mark after one, may begin like this."""
    return re.fullmatch(r"[\w.\-\[\]]+", text) is not None
