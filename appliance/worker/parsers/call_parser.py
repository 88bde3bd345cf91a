"""Tool calls, separated from the answer while the model writes them. Pure Python.

The parser is a generator that stops wherever the text that has come doesn't say yet what it is; so
no cut of the text changes what comes out.
"""

import json
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

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
from appliance.worker.parsers.syntax import HOLE, ArgumentStyle, CallSyntax, first_piece, match
from appliance.worker.parsers.tool_schema import Tool
from appliance.worker.parsers.values import as_json, end_of_json, escaped, literal, nested, types_of

_NAME = re.compile(r"[\w.\-/]+")
_LONGEST_NAME = 160
_LONGEST_QUOTED = 10_000
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_WORD = re.compile(r"\w+")
_STRING = frozenset({"string"})

Waiting = Generator[None, None, bool]
"""Stops where more text is needed; returns whether it was there."""


class CallParser:
    """Finds the calls in one reply. Implements `ReplyParser`.

    What turns out to be no call is content, unchanged; white space next to a call belongs to it
    unless content follows. Between marks the model may name any function; a bare object is a call
    only of a function that was offered, since it may as well be the answer.
    """

    def __init__(
        self,
        syntax: CallSyntax,
        tools: Sequence[Tool],
        dropped: Sequence[str] = (),
    ) -> None:
        """
        Args:
            syntax: how calls are written.
            tools: those that were offered; without any, calls are content.
            dropped: marks around the answer, which are left out of it.
        """
        self._syntax = syntax
        self._tools: dict[str, Mapping[str, Any]] = {t["function"]["name"]: t for t in tools}
        self._openings = syntax.openings if tools else ()
        self._dropped = tuple(dropped)
        # Bare objects: one may open the reply, and others may follow it.
        self._bare = bool(tools) and (syntax.bare or not syntax.openings)
        self._text = ""
        self._at = 0
        self._ended = False
        self._out: list[OutputPart] = []
        self._n_calls = 0
        self.over = False
        self._after_call = False
        self._run = self._reply()
        next(self._run)

    def feed(self, text: str) -> list[OutputPart]:
        if text:
            self._text += text
            next(self._run)
        return self._taken()

    def finish(self) -> list[OutputPart]:
        if not self._ended:
            self._ended = True
            next(self._run, None)
        return self._taken()

    def _taken(self) -> list[OutputPart]:
        out, self._out = self._out, []
        return merge_parts(out)

    # -- the reply as a whole ----------------------------------------------------------------------

    def _reply(self) -> Generator[None, None, None]:
        yield
        bare = self._bare
        while True:
            if bare:
                yield from self._space()
                bare = False
                if not self._text.startswith("{", self._at):
                    self._at = 0
                    continue
                found, spent = True, 1
            else:
                spent = yield from self._opening()
                found = spent > 0
            if found:
                start = self._at
                if not (yield from self._calls()):
                    self._at = start
                    self._content(spent)
                self._text, self._at = self._text[self._at :], 0
            elif self._ended:
                return

    def _opening(self) -> Generator[None, None, int]:
        """Content up to where a call may begin; the length of what it begins with, 0 at the end."""
        marks = [(first_piece(mark), True) for mark in self._openings]
        marks += [(mark, False) for mark in self._dropped]
        while True:
            text = self._text
            found = [(text.find(mark), -len(mark), call) for mark, call in marks if mark in text]
            if found:
                at, size, is_call = min(found)
                longer = any(len(mark) > -size and mark.startswith(text[at:]) for mark, _ in marks)
                if longer and not self._ended:
                    self._content(len(text[:at].rstrip()) if is_call else at)
                    yield
                    continue
                before = text[:at].rstrip() if is_call else text[:at]
                self._content(len(before))
                if is_call:
                    self._at = at - len(before)
                    return -size
                self._text = self._text[-size:]
                continue
            keep = max((possible_start(text, mark) for mark, _ in marks), default=0)
            if self._ended:
                if not (self._after_call and not text.strip()):
                    self._content(len(text))
                return 0
            certain = text[: len(text) - keep]
            self._content(len(certain.rstrip() if self._openings else certain))
            yield

    def _content(self, size: int) -> None:
        """The text from the current place on begins with content, as does all before it."""
        size += self._at
        if size:
            self._out.append(Content(self._text[:size]))
            self._text = self._text[size:]
            self._after_call = False
        self._at = 0

    def _calls(self) -> Waiting:
        """Calls from here on; stands behind the last one. False: there is none."""
        syntax = self._syntax
        section, section_end = syntax.section
        sectioned = bool(section) and (yield from self._take(section))
        made, listed = 0, False
        while True:
            before = self._at
            yield from self._space()
            if syntax.listed and not made and self._text.startswith("[", self._at):
                self._at += 1
                listed = True
                yield from self._space()
            if not (yield from self._open()):
                alone = sectioned and not made and syntax.style is ArgumentStyle.OBJECT
                if not alone:
                    self._at = before
                    break
            if not (yield from self._call()):
                self._at = before
                break
            made += 1
            self._after_call = True
            more = yield from self._behind(listed=listed, sectioned=sectioned)
            if not more:
                break
        if made and listed and not (yield from self._take("]")):
            return True
        if made and section_end:
            yield from self._take(section_end)
        return made > 0

    def _open(self) -> Waiting:
        """The mark before a call, if there is one."""
        marks = [mark for mark in (self._syntax.call[0], self._syntax.inner) if mark]
        for mark in marks:
            if (yield from self._take(mark)):
                return True
        return not marks

    def _behind(self, *, listed: bool, sectioned: bool) -> Waiting:
        """The end of a call, and what separates it from the next one; whether one may follow."""
        syntax = self._syntax
        if syntax.style is ArgumentStyle.OBJECT and syntax.call[1] and not listed:
            # Models are generous with closing braces.
            yield from self._braces(syntax.call[1])
        else:
            for mark in syntax.call[1].split():
                yield from self._take(mark)
        if listed:
            return (yield from self._take(","))
        if syntax.separator:
            yield from self._take(syntax.separator)
        if syntax.call[0]:
            return (yield from self._ahead(syntax.call[0])) or (
                bool(syntax.inner) and (yield from self._ahead(syntax.inner))
            )
        if sectioned and syntax.section[1]:
            return not (yield from self._ahead(syntax.section[1]))
        return self._bare and (yield from self._ahead("{"))

    def _braces(self, end: str) -> Generator[None, None, None]:
        before = self._at
        while True:
            at = self._at
            while at < len(self._text) and self._text[at] in "} \t\r\n":
                at += 1
            result = match(self._text, at, end)
            if result == "more" and not self._ended:
                yield
                continue
            if result == "more":
                self._at = len(self._text)
            else:
                self._at = before if result == "no" else result
            return

    # -- one call ----------------------------------------------------------------------------------

    def _call(self) -> Waiting:
        syntax = self._syntax
        if syntax.style is ArgumentStyle.OBJECT:
            yield from self._space()
            names = self._tools if self._bare or syntax.offered_only else None
            keys = (syntax.name_key, syntax.arguments_key, syntax.keys)
            return (yield from self._object(JsonCallParser(names, *keys)))
        if syntax.style is ArgumentStyle.KEYED:
            return (yield from self._keyed())
        name = yield from self._name()
        if not name or (syntax.offered_only and name not in self._tools):
            return False
        if syntax.style is ArgumentStyle.JSON:
            for mark in (syntax.after_label, syntax.after_name):
                if mark and (yield from self._take(mark)):
                    break
            else:
                if syntax.after_name:
                    return False
            yield from self._space()
            return (yield from self._object(JsonCallParser.named(name)))
        if syntax.after_name and not (yield from self._take(syntax.after_name)):
            return False
        if syntax.style is ArgumentStyle.TAGGED:
            return (yield from self._tagged(name))
        if syntax.style is ArgumentStyle.QUOTED:
            return (yield from self._quoted(name))
        return (yield from self._python(name))

    def _name(self) -> Generator[None, None, str]:
        """A function's name; empty: there is none."""
        yield from self._space()
        while True:
            found = _NAME.match(self._text, self._at)
            if self._at < len(self._text) and not found:
                return ""
            if found and found.end() - self._at > _LONGEST_NAME:
                return ""
            if found and found.end() < len(self._text):
                self._at = found.end()
                return found.group()
            if self._ended:
                return ""
            yield

    def _object(self, call: JsonCallParser) -> Waiting:
        """A JSON object, read by `call`."""
        began = False
        result = CharResult.MORE
        while True:
            text, at = self._text, self._at
            while result is CharResult.MORE and at < len(text):
                result = call.feed(text[at])
                at += result is not CharResult.BROKEN
            if call.certain:
                self._text, self._at = text[at:], 0
                if not began:
                    began = True
                    self._begin(call.name or "")
                self._arguments(call.take_arguments())
            else:
                self._at = at
            if result is CharResult.FAILED:
                return False
            if result is not CharResult.MORE:
                return True
            if self._ended:
                return began
            yield

    def _keyed(self) -> Waiting:
        """`{"name": {…}}`."""
        if not (yield from self._take("{")) or not (yield from self._take('"')):
            return False
        name = yield from self._name()
        if not name or not (yield from self._take('"')) or not (yield from self._take(":")):
            return False
        yield from self._space()
        if not (yield from self._object(JsonCallParser.named(name))):
            return False
        yield from self._take("}")
        return True

    def _tagged(self, name: str) -> Waiting:
        """Arguments between marks."""
        opening, to_text, to_other, closing = self._syntax.argument
        began = bool(self._syntax.after_name)
        if began:
            self._begin(name)
        written = 0
        ended = False
        while True:
            if written and self._syntax.between:
                yield from self._take(self._syntax.between)
            ended = yield from self._call_ends()
            if ended or not (yield from self._take(opening)):
                break
            key = yield from self._until([to_text, to_other])
            if key is None:
                break
            if not began:
                began = True
                self._begin(name)
            self._commit()
            before = ", " if written else "{"
            self._arguments(f"{before}{json.dumps(key, ensure_ascii=False)}: ")
            written += 1
            types = yield from self._types(name, key)
            if not (yield from self._value(types, closing.replace(HOLE, key))):
                return True
        if not began and not ended:
            return False
        if not began:
            self._begin(name)  # a name and nothing else
        self._arguments("}" if written else "{}")
        return True

    def _call_ends(self) -> Waiting:
        """Whether the mark after a call comes next, or that after all calls."""
        for marks in (self._syntax.call[1], self._syntax.section[1]):
            if marks and (yield from self._ahead(marks.split()[0])):
                return True
        return False

    def _types(self, name: str, key: str) -> Generator[None, None, frozenset[str]]:
        """What an argument may be, going by its mark or its schema."""
        _, to_text, to_other, _ = self._syntax.argument
        types = types_of(self._tools.get(name), key)
        if to_text == to_other:
            yield from self._take(to_text, space=False)
            return types
        # What has a hole fits both, and of others the longer one may begin with the shorter one.
        first, second = sorted((to_text, to_other), key=lambda mark: (HOLE in mark, -len(mark)))
        if not (yield from self._take(first, space=False)):
            yield from self._take(second, space=False)
            first = second
        return _STRING if first == to_text else types - _STRING or types

    def _value(self, types: frozenset[str], end: str) -> Waiting:
        """A value up to its closing mark, as JSON. False: the reply ends in it."""
        first, last = self._syntax.padding
        self._commit()
        started = False
        streams = types == _STRING
        while True:
            text = self._text
            if not started:
                short = len(text) <= max(len(first), len(_CDATA)) + len(end)
                if short and end not in text and not self._ended:
                    yield
                    continue
                text = self._text = text.removeprefix(first)
                started = True
                if text.startswith(_CDATA):
                    end, last, types, streams = f"{_CDATA_END}{end}", "", _STRING, True
                    text = self._text = text[len(_CDATA) :]
                if streams:
                    self._arguments('"')
            at = text.find(end) if streams or self._ended else end_of_json(text, end)
            if at >= 0:
                value = text[:at].removesuffix(last)
                self._text, self._at = text[at + len(end) :], 0
                if streams:
                    self._arguments(escaped(value) + '"')
                else:
                    self._arguments(self._as_json(value, types))
                return True
            keep = possible_start(text, end)
            if last and text[: len(text) - keep].endswith(last):
                keep += len(last)
            if streams:
                self._arguments(escaped(text[: len(text) - keep]))
                self._text = text[len(text) - keep :]
            if self._ended:
                rest = self._text
                self._text = ""
                self._arguments(escaped(rest) if streams else "")
                return False
            yield

    def _as_json(self, value: str, types: frozenset[str]) -> str:
        opening, _, _, closing = self._syntax.argument
        before, hole, _ = closing.partition(HOLE)
        if hole and opening in value:
            return json.dumps(nested(value, opening, before), ensure_ascii=False)
        return as_json(value, types)

    def _quoted(self, name: str) -> Waiting:
        """`{key:value,…}` with a mark for quotes, as JSON."""
        quote = self._syntax.quote
        if not (yield from self._take("{")):
            return False
        self._begin(name)
        self._commit()
        self._arguments("{")
        depth, in_string = 1, False
        while depth:
            text = self._text
            if in_string:
                at = text.find(quote)
                size = at if at >= 0 else len(text) - possible_start(text, quote)
                self._arguments(escaped(text[:size]) + ('"' if at >= 0 else ""))
                self._text = text[size + (len(quote) if at >= 0 else 0) :]
                in_string = at < 0
                if not in_string:
                    continue
            elif text:
                size = yield from self._bare_piece(text, quote)
                if size:
                    text = self._text
                    piece, self._text = text[:size], text[size:]
                    in_string = piece == quote
                    depth += (piece in ("{", "[")) - (piece in ("}", "]"))
                    self._arguments(self._as_piece(piece))
                    continue
            if self._ended:
                self._text = ""
                return True
            yield
        return True

    def _bare_piece(self, text: str, quote: str) -> Generator[None, None, int]:
        """The length of the next piece of an object outside of strings; 0: not known yet."""
        if text.startswith(quote):
            return len(quote)
        if quote.startswith(text) and not self._ended:
            return 0
        if text[0] == '"':  # a string in JSON's own way
            found = re.match(r'"(?:[^"\\]|\\.)*"', text)
            ends = self._ended or len(text) > _LONGEST_QUOTED
            return found.end() if found else (len(text) if ends else 0)
        if text[0] in "{}[],:" or text[0].isspace():
            return 1
        found = re.match(r"[^{}\[\],:<\"]+", text)
        if not found:
            return 1
        whole = found.end() < len(text) or self._ended
        return found.end() if whole else 0
        yield

    def _as_piece(self, piece: str) -> str:
        if piece == self._syntax.quote:
            return '"'
        if piece in "{}[],:" or piece.isspace():
            return {",": ", ", ":": ": "}.get(piece, piece)
        if piece.startswith('"'):
            return piece
        is_key = self._text.startswith(":")
        value = ... if is_key else literal(piece.strip())
        return json.dumps(piece.strip() if value is ... else value, ensure_ascii=False)

    def _python(self, name: str) -> Waiting:
        """`(key=value, …)`, from behind the opening bracket."""
        self._begin(name)
        self._commit()
        written = 0
        while True:
            yield from self._space()
            if (yield from self._take(")")):
                self._arguments("}" if written else "{}")
                return True
            if written and not (yield from self._take(",")):
                return True
            key = yield from self._until(["="])
            if key is None:
                return True
            self._at += 1
            size = yield from self._python_value()
            if size is None:
                return True
            text = self._text[self._at : self._at + size].strip()
            self._text, self._at = self._text[self._at + size :], 0
            value = literal(text)
            if value is ...:
                value = text
            self._arguments(("{" if not written else ", ") + json.dumps(key.strip()) + ": ")
            self._arguments(json.dumps(value, ensure_ascii=False))
            written += 1

    def _python_value(self) -> Generator[None, None, int | None]:
        """The length of a value up to a comma or the closing bracket; None: it doesn't end."""
        depth, quote, escaped, at = 0, "", False, self._at
        while True:
            while at < len(self._text):
                char = self._text[at]
                if quote:
                    quote = "" if char == quote and not escaped else quote
                    escaped = char == "\\" and not escaped
                elif char in "\"'":
                    quote = char
                elif char in "([{":
                    depth += 1
                elif char in ")]}" or char == ",":
                    if not depth:
                        return at - self._at
                    depth -= char != ","
                at += 1
            if self._ended:
                return None
            yield

    # -- what they share ---------------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        self.over = self.over or (self._n_calls > 0 and not self._syntax.parallel)
        if not self.over:
            self._out.append(ToolCallBegan(self._n_calls, new_call_id(), name))
            self._n_calls += 1

    def _arguments(self, delta: str) -> None:
        if not self.over:
            self._out.append(ToolCallArguments(self._n_calls - 1, delta))

    def _commit(self) -> None:
        """What was read is not read again."""
        self._text, self._at = self._text[self._at :], 0

    def _space(self) -> Generator[None, None, None]:
        """Pass over white space."""
        while True:
            while self._at < len(self._text) and self._text[self._at].isspace():
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return
            yield

    def _take(self, mark: str, *, space: bool = True) -> Waiting:
        """Pass over a mark, and white space before it; one that the reply ends in as well."""
        at = yield from self._find(mark, space=space)
        if at is None:
            return False
        self._at = at
        return True

    def _ahead(self, mark: str) -> Waiting:
        """Whether a mark comes next, or white space and a mark."""
        return (yield from self._find(mark)) is not None

    def _find(self, mark: str, *, space: bool = True) -> Generator[None, None, int | None]:
        while True:
            at = self._at
            while space and at < len(self._text) and self._text[at].isspace():
                at += 1
            result = match(self._text, at, mark)
            if result == "no":
                return None
            if result != "more":
                return result
            if self._ended:
                return len(self._text) if at < len(self._text) and mark else None
            yield

    def _until(self, marks: Sequence[str]) -> Generator[None, None, str | None]:
        """The text before the first of the marks, which it stops at; None: there is none."""
        while True:
            pieces = [first_piece(mark) for mark in marks]
            found = [at for piece in pieces if (at := self._text.find(piece, self._at)) >= 0]
            longest = max(map(len, pieces))
            if found and (self._ended or len(self._text) - min(found) >= longest):
                text = self._text[self._at : min(found)]
                self._at = min(found)
                return text.strip()
            if self._ended or len(self._text) - self._at > 4 * _LONGEST_NAME:
                return None
            yield
