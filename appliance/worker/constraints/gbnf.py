"""llama.cpp's grammars, GBNF, as the grammars of llguidance, which are a kind of Lark's.

There a lexeme, written in capitals, is a regular expression, and the rest a context-free grammar.
A lexeme takes as much text as it can, so whatever is not recursive becomes one: a regular
expression knows every way to read a text. Groups become rules of their own; so nothing that is
written here is nested.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 50
"""Groups in groups."""
MAX_RULES = 1000
"""Groups counted, too: rules that refer to each other are followed recursively."""
MAX_COUNT = 10_000
"""Maximum count of a repetition; llama.cpp's own limit is lower."""
LAST = 0x10FFFF
"""The last character there is."""

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_COUNT = re.compile(r"\{[ \t\r\n]*(\d+)[ \t\r\n]*(?:(,)[ \t\r\n]*(\d*)[ \t\r\n]*)?\}")
_TOKEN = re.compile(r"(!?)<(?:\[(\d+)\]|([^\[>\r\n][^>\r\n]*))>")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\\\"\[\]nrt]))")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(slots=True)
class _Text:
    """What stands in quotes, or a class of characters, as Lark writes it."""

    lark: str
    first: list[tuple[int, int]]
    """Ranges of characters that it may begin with."""


@dataclass(slots=True)
class _Token:
    """One token of the vocabulary, or any but that one."""

    lark: str


@dataclass(slots=True)
class _Use:
    """A rule, by its name."""

    name: str


@dataclass(slots=True)
class _Repeat:
    """An item repeated; `most` None: any number of times."""

    item: "_Item"
    least: int
    most: int | None

    @property
    def suffix(self) -> str:
        """In Lark."""
        match self.least, self.most:
            case 0, None:
                return "*"
            case 1, None:
                return "+"
            case 0, 1:
                return "?"
        return f"{{{self.least},{'' if self.most is None else self.most}}}"


_Item = _Text | _Token | _Use | _Repeat


@dataclass(slots=True)
class _Rule:
    """Alternatives, each a sequence of items."""

    alternatives: list[list[_Item]] = field(default_factory=list)


def to_lark(text: str, token_of: Callable[[str], int | None], ends: list[int]) -> str:
    """The grammar for llguidance.

    Args:
        text: a grammar whose first rule to be kept to is `root`.
        token_of: the one token that a text is, for `<text>`.
        ends: tokens that end a reply, which are never any token but another one.

    Raises:
        ValueError: it is no grammar, or goes beyond the limits; the message says where.
    """
    rules = _Parser(text, token_of, ends).rules()
    return _Writer(rules).text()


class _Parser:
    """From left to right, without going back."""

    def __init__(self, text: str, token_of: Callable[[str], int | None], ends: list[int]) -> None:
        self._text = text
        self._at = 0
        self._token_of = token_of
        self._ends = ends
        self._rules: dict[str, _Rule] = {}

    def rules(self) -> dict[str, _Rule]:
        """All of them, groups included, whose names begin with a space."""
        self._skip(_LINES)
        while self._at < len(self._text):
            name = self._word()
            self._skip(_SPACE)
            if not self._text.startswith("::=", self._at):
                raise self._error("expected ::=")
            self._at += 3
            self._skip(_LINES)
            if name in self._rules:
                raise self._error(f"there are two rules {name}")
            rule = self._rules[name] = _Rule()
            self._alternatives(rule, depth=0)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                raise self._error("expected the end of the rule")
            self._skip(_LINES)
        self._check()
        return self._rules

    def _check(self) -> None:
        if "root" not in self._rules:
            raise ValueError("there is no rule root")
        for rule in self._rules.values():
            for item in _items(rule):
                if isinstance(item, _Use) and item.name not in self._rules:
                    raise ValueError(f"there is no rule {item.name}")

    def _alternatives(self, rule: _Rule, depth: int) -> None:
        if len(self._rules) > MAX_RULES:
            raise ValueError(f"there are more than {MAX_RULES} rules and groups")
        while True:
            rule.alternatives.append(self._sequence(depth))
            if not self._text.startswith("|", self._at):
                return
            self._at += 1
            self._skip(_LINES)

    def _sequence(self, depth: int) -> list[_Item]:
        items: list[_Item] = []
        space = _LINES if depth else _SPACE
        while self._at < len(self._text):
            item = self._item(depth)
            if item is None:
                break
            self._skip(space)
            while repeat := self._repeat(item):
                item = repeat
                self._skip(space)
            items.append(item)
        return items

    def _item(self, depth: int) -> _Item | None:
        char = self._text[self._at]
        if char == '"':
            return self._literal()
        if char == "[":
            return self._class()
        if char == "(":
            return self._group(depth)
        if char == ".":
            self._at += 1
            return _Text(r"/[\u{0}-\u{10FFFF}]/", [(0, LAST)])
        if char in "<!":
            return self._token()
        return _Use(self._word()) if _NAME.match(char) else None

    def _group(self, depth: int) -> _Use:
        if depth == MAX_DEPTH:
            raise self._error(f"groups are nested more than {MAX_DEPTH} deep")
        self._at += 1
        self._skip(_LINES)
        name = f" {len(self._rules)}"
        rule = self._rules[name] = _Rule()
        self._alternatives(rule, depth + 1)
        if not self._text.startswith(")", self._at):
            raise self._error("expected )")
        self._at += 1
        return _Use(name)

    def _repeat(self, item: _Item) -> _Repeat | None:
        sign = self._text[self._at : self._at + 1]
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign)
        if simple:
            self._at += 1
            return _Repeat(self._whole(item), *simple)
        if sign != "{":
            return None
        match = _COUNT.match(self._text, self._at)
        if not match:
            raise self._error("expected a number of repetitions")
        least = self._count(match[1])
        most = self._count(match[3]) if match[3] else None if match[2] else least
        if most is not None and most < least:
            raise self._error("fewer repetitions at most than at least")
        self._at = match.end()
        return _Repeat(self._whole(item), least, most)

    def _count(self, digits: str) -> int:
        if len(digits) > 9 or int(digits) > MAX_COUNT:
            raise self._error(f"more than {MAX_COUNT} repetitions")
        return int(digits)

    def _whole(self, item: _Item) -> _Item:
        """Something that can be repeated: a repetition gets a rule of its own."""
        if not isinstance(item, _Repeat):
            return item
        name = f" {len(self._rules)}"
        self._rules[name] = _Rule([[item]])
        return _Use(name)

    def _token(self) -> _Token:
        match = _TOKEN.match(self._text, self._at)
        if not match:
            raise self._error("expected a token, <[number]> or <text>")
        denied, number, text = match.groups()
        token = int(number[:10]) if number else self._token_of(text and f"<{text}>")
        if token is None:
            raise self._error(f"<{text}> is no token of this model")
        self._at = match.end()
        others = ",".join(map(str, sorted({token, *self._ends})))
        return _Token(f"<[^{others}]>" if denied else f"<[{token}]>")

    def _literal(self) -> _Text:
        self._at += 1
        chars = []
        while (char := self._char()) != '"':
            chars.append(char[-1])
        first = [(ord(char), ord(char)) for char in chars[:1]]
        return _Text('"' + "".join(map(_quoted, chars)) + '"', first)

    def _class(self) -> _Text:
        self._at += 1
        denied = self._text.startswith("^", self._at)
        self._at += denied
        ranges: list[tuple[int, int]] = []
        while (first := self._char()) != "]":
            low = high = first[-1]
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._char()[-1]
            if high < low:
                raise self._error(f"the range {low}-{high} is empty")
            ranges.append((ord(low), ord(high)))
        if denied:
            ranges = _others(ranges)
        if not ranges:
            raise self._error("a class without a character")
        inside = "".join(rf"\u{{{low:X}}}-\u{{{high:X}}}" for low, high in ranges)
        return _Text(f"/[{inside}]/", ranges)

    def _char(self) -> str:
        r"""The next character; one that was escaped has a `\` before it."""
        char = self._text[self._at : self._at + 1]
        if not char:
            raise self._error("unexpected end")
        if char != "\\":
            if "\ud800" <= char <= "\udfff":
                raise self._error("half a character")
            self._at += 1
            return char
        match = _ESCAPE.match(self._text, self._at)
        if not match:
            raise self._error("unknown escape")
        self._at = match.end()
        digits = match[1] or match[2] or match[3]
        if digits is None:
            return "\\" + _ESCAPED.get(match[4], match[4])
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self._error(f"U+{code:04X} is no character")
        return "\\" + chr(code)

    def _word(self) -> str:
        match = _NAME.match(self._text, self._at)
        if not match:
            raise self._error("expected a name")
        self._at = match.end()
        return match[0]

    def _skip(self, space: "re.Pattern[str]") -> None:
        match = space.match(self._text, self._at)
        assert match
        self._at = match.end()

    def _error(self, what: str) -> ValueError:
        line = self._text.count("\n", 0, self._at) + 1
        begun = self._text[self._at : self._at + 20]
        return ValueError(f"{what} in line {line} at {begun!r}")


def _quoted(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() and char.isascii() else _json_escape(char)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _others(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The characters that are in none of the ranges."""
    found, start = [], 0
    for low, high in sorted(ranges):
        if start < low:
            found.append((start, low - 1))
        start = max(start, high + 1)
    return [*found, (start, LAST)] if start <= LAST else found


def _swallows(item: _Item, follows: _Item) -> bool:
    """Whether a repetition of characters could take the beginning of what follows it."""
    if isinstance(follows, _Repeat):
        follows = follows.item
    if not isinstance(item, _Repeat) or item.least == item.most:
        return False
    if not (isinstance(item.item, _Text) and isinstance(follows, _Text)):
        return False
    return any(a <= d and c <= b for a, b in item.item.first for c, d in follows.first)


def _items(rule: _Rule) -> Iterator[_Item]:
    for sequence in rule.alternatives:
        for item in sequence:
            yield item.item if isinstance(item, _Repeat) else item


class _Writer:
    """Rules as Lark."""

    def __init__(self, rules: dict[str, _Rule]) -> None:
        self._rules = rules
        self._lexemes = self._find_lexemes()
        self._names = {
            name: f"{'T' if name in self._lexemes else 'r'}{i}" for i, name in enumerate(rules)
        }
        self._runs: dict[str, str] = {}

    def text(self) -> str:
        """All of it, the rule `root` first."""
        written = [self._written(name, rule) for name, rule in self._rules.items()]
        runs = [f"{name}: {run}" for run, name in self._runs.items()]
        return "\n".join([f"start: {self._names['root']}", *written, *runs, ""])

    def _find_lexemes(self) -> set[str]:
        """Rules of text alone, in whatever rules they are written: none of them is recursive."""
        users: dict[str, list[str]] = {name: [] for name in self._rules}
        open_uses = dict.fromkeys(self._rules, 0)
        for name, rule in self._rules.items():
            for item in _items(rule):
                if isinstance(item, _Use):
                    users[item.name].append(name)
                    open_uses[name] += 1
                elif isinstance(item, _Token):
                    open_uses[name] = -1
                    break
        found: set[str] = set()
        ready = [name for name, count in open_uses.items() if count == 0]
        while ready:
            name = ready.pop()
            found.add(name)
            for user in users[name]:
                if open_uses[user] > 0:
                    open_uses[user] -= 1
                    if not open_uses[user]:
                        ready.append(user)
        return found

    def _written(self, name: str, rule: _Rule) -> str:
        lexeme = name in self._lexemes
        alternatives = [
            self._sequence(sequence) if lexeme else self._with_runs(sequence)
            for sequence in rule.alternatives
        ]
        return f"{self._names[name]}: {' | '.join(alternatives)}"

    def _sequence(self, items: list[_Item]) -> str:
        return " ".join(map(self._item, items)) or '""'

    def _item(self, item: _Item) -> str:
        if isinstance(item, _Repeat):
            return self._item(item.item) + item.suffix
        return self._names[item.name] if isinstance(item, _Use) else item.lark

    def _with_runs(self, items: list[_Item]) -> str:
        """Of a rule that isn't a lexeme: two become one where the first would leave nothing of the
        second."""
        parts: list[list[_Item]] = []
        for item in items:
            if parts and _swallows(parts[-1][-1], item):
                parts[-1].append(item)
            else:
                parts.append([item])
        return " ".join(map(self._run, parts)) or '""'

    def _run(self, items: list[_Item]) -> str:
        if len(items) == 1:
            return self._item(items[0])
        return self._runs.setdefault(self._sequence(items), f"U{len(self._runs)}")
