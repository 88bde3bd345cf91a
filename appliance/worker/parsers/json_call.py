"""One call as models write it, a JSON object with a name and arguments, read as it comes.

Pure Python. The object is never decoded as a whole: its arguments leave as they arrive.
"""

import enum
import json
from collections.abc import Callable, Collection

_SPACE = " \t\r\n"
_SCALAR = frozenset("0123456789+-.abcdefghijklmnopqrstuvwxyzE")
_ARGUMENTS = frozenset({"arguments", "parameters"})
_KEYS = frozenset({"id", "type"})
_LONGEST_LABEL = 256
"""Characters of a key, a name or an id; what is longer is no call."""


class CharResult(enum.Enum):
    """What a character meant."""

    MORE = enum.auto()
    """It belongs to the object, which goes on."""
    DONE = enum.auto()
    """It was the last one of a call."""
    FAILED = enum.auto()
    """This is no call, and nothing of it was given away."""
    BROKEN = enum.auto()
    """It doesn't belong to the call, which had begun already and ends before it."""


class _Value:
    """Finds the end of a JSON value without decoding it."""

    def __init__(self, first: str) -> None:
        self._depth = 1 if first in "{[" else 0
        self._in_string = first == '"'
        self._escaped = False
        self._scalar = first in _SCALAR

    @property
    def whole(self) -> bool:
        """Its last character was met; that of a number or a word is known from the next only."""
        return not (self._scalar or self._depth or self._in_string)

    def takes(self, char: str) -> bool:
        """Whether `char` still belongs to it. Only a tag ends an object that isn't closed: what is
        wrong with it otherwise is for whoever decodes it."""
        if self._scalar:
            return char in _SCALAR
        if self._in_string:
            self._in_string = self._escaped or char != '"'
            self._escaped = char == "\\" and not self._escaped
            return True
        self._in_string = char == '"'
        self._depth += (char in "{[") - (char in "}]")
        return char != "<"


class JsonCallParser:
    """Reads one call, character by character.

    A call has begun when its name is known and its arguments are seen to be an object; from then on
    it stays one, however it ends. Arguments that are an object written as a string are unwrapped;
    none at all, or `null`, are `{}`.
    """

    def __init__(
        self,
        names: Collection[str] | None,
        name_key: str = "name",
        arguments_key: str = "arguments",
        keys: Collection[str] = (),
    ) -> None:
        """
        Args:
            names: the functions that may be called; None: any.
            name_key: the key of the name.
            arguments_key: that of the arguments, besides the usual ones.
            keys: others that may stand before these two.
        """
        self._names = names
        self._name_key = name_key
        self._arguments_keys = _ARGUMENTS | {arguments_key}
        self._keys = self._arguments_keys | _KEYS | {name_key, *keys}
        self._state: Callable[[str], CharResult] = self._opens
        self._seen: set[str] = set()
        self._key = ""
        self._value = _Value('"')
        self._text = ""
        self._arguments: str | None = None
        self._alone = False
        self.name: str | None = None

    @classmethod
    def named(cls, name: str) -> "JsonCallParser":
        """Reads the arguments of a call whose name stood before them."""
        call = cls(None)
        call.name, call._key, call._alone = name, "arguments", True
        call._state = call._value_opens
        return call

    @property
    def certain(self) -> bool:
        """Whether this is a call for certain."""
        return self.name is not None and self._arguments is not None

    def take_arguments(self) -> str:
        """What came of the arguments since the last time, once the call has begun."""
        text, self._arguments = self._arguments or "", ""
        return text

    def feed(self, char: str) -> CharResult:
        """Take the next character."""
        result = self._state(char)
        return CharResult.BROKEN if result is CharResult.FAILED and self.certain else result

    # -- states: each takes a character and returns what it meant ----------------------------------

    def _opens(self, char: str) -> CharResult:
        self._state = self._key_opens_or_end
        return CharResult.MORE if char == "{" else CharResult.FAILED

    def _key_opens_or_end(self, char: str) -> CharResult:
        return self._end() if char == "}" else self._key_opens(char)

    def _key_opens(self, char: str) -> CharResult:
        if char in _SPACE:
            return CharResult.MORE
        self._value, self._text = _Value(char), ""
        self._state = self._in_key
        return CharResult.MORE if char == '"' else CharResult.FAILED

    def _in_key(self, char: str) -> CharResult:
        self._value.takes(char)
        if not self._value.whole:
            return self._hold(char)
        self._key, self._state = self._text, self._colon
        known = self._key in self._keys and self._key not in self._seen
        self._seen.add(self._key)
        return CharResult.MORE if known or self.certain else CharResult.FAILED

    def _colon(self, char: str) -> CharResult:
        if char == ":":
            self._state = self._value_opens
            return CharResult.MORE
        return CharResult.MORE if char in _SPACE else CharResult.FAILED

    def _value_opens(self, char: str) -> CharResult:
        if char in _SPACE:
            return CharResult.MORE
        if char not in '{["' and (char not in _SCALAR or self._alone):
            return CharResult.FAILED
        self._value, self._text = _Value(char), char
        streams = char == "{" and self._key in self._arguments_keys and self.name is not None
        self._state = self._arguments_open if streams and not self.certain else self._in_value
        return CharResult.MORE

    def _arguments_open(self, char: str) -> CharResult:
        """After the brace: an object goes on with a key or ends, anything else is prose."""
        self._value.takes(char)
        self._text += char
        if char in _SPACE:
            return CharResult.MORE
        if char not in '"}':
            return CharResult.FAILED
        self._arguments, self._state = self._text, self._in_arguments
        return self._arguments_end() if self._value.whole else CharResult.MORE

    def _in_arguments(self, char: str) -> CharResult:
        if not self._value.takes(char):
            return CharResult.FAILED
        self._arguments = (self._arguments or "") + char
        return self._arguments_end() if self._value.whole else CharResult.MORE

    def _arguments_end(self) -> CharResult:
        self._state = self._after_value
        return CharResult.DONE if self._alone else CharResult.MORE

    def _in_value(self, char: str) -> CharResult:
        """A value that is judged when it is whole: a name, an id, arguments in another shape."""
        if not self._value.takes(char):
            judged = self._judge()
            return self._after_value(char) if judged is CharResult.MORE else judged
        result = self._hold(char)
        return self._judge() if self._value.whole else result

    def _after_value(self, char: str) -> CharResult:
        if char == "}":
            return self._end()
        self._state = self._key_opens if char == "," else self._after_value
        return CharResult.MORE if char == "," or char in _SPACE else CharResult.FAILED

    # -- what states share -------------------------------------------------------------------------

    def _hold(self, char: str) -> CharResult:
        self._text += char
        free = self.certain or self._key in self._arguments_keys
        return CharResult.MORE if free or len(self._text) <= _LONGEST_LABEL else CharResult.FAILED

    def _judge(self) -> CharResult:
        self._state = self._after_value
        if self.certain or self._key not in self._arguments_keys | {self._name_key}:
            return CharResult.MORE
        value = _decoded(self._text)
        if self._key == self._name_key:
            self.name = value if isinstance(value, str) and self._callable(value) else None
            return CharResult.FAILED if self.name is None else CharResult.MORE
        if isinstance(value, str):
            self._text, value = value, _decoded(value or "null")
        self._arguments = self._text if isinstance(value, dict) else "{}" if value is None else None
        return CharResult.FAILED if self._arguments is None else CharResult.MORE

    def _callable(self, name: str) -> bool:
        return bool(name) if self._names is None else name in self._names

    def _end(self) -> CharResult:
        if self._arguments is None:
            self._arguments = "{}"
        return CharResult.DONE if self.certain else CharResult.FAILED


def _decoded(text: str) -> object:
    """The value of a JSON text; an ellipsis, which no such text means, for what is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return ...
