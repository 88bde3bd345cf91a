"""The declarations in C headers, and how they differ between two versions of llama.cpp.

Only what the appliance's functions need is compared: their parameters and results, and every
structure, enumeration and type that these use, recursively.
"""

import ast
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from pcpp import Action, OutputDirective, Preprocessor
from pycparser import CParser, c_ast
from pycparser.c_generator import CGenerator

FOLDERS = ("include", "ggml/include")
"""Folders of llama.cpp's source."""
STANDARD = "".join(
    f"typedef int {name};\n"
    for name in (
        *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *("size_t", "bool", "FILE"),
    )
)
"""Stands in for the system's headers: only the names of their types are needed."""
PASSED_ON = ("struct ggml_tensor", "struct llama_sampler")
"""Opaque types: only pointers to them are passed on."""
_text = CGenerator().visit


class _Preprocessor(Preprocessor):  # type: ignore[misc]  # it has no types
    def on_include_not_found(self, *_: object) -> None:
        raise OutputDirective(Action.IgnoreAndRemove)


class Header:
    """Declarations by name."""

    def __init__(self, text: str) -> None:
        """
        Args:
            text: C, preprocessed.
        """
        self.functions: dict[str, c_ast.FuncDecl] = {}
        self.types: dict[str, c_ast.Node] = {}
        self.constants: dict[str, int] = {}
        for node in CParser().parse(STANDARD + text).ext:
            self._take(node)
            if isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
                self.functions[node.name] = node.type
            elif isinstance(node, c_ast.Typedef):
                self.types[node.name] = node.type

    def _take(self, node: c_ast.Node) -> None:
        """Adds the structures and enumerations declared anywhere in it."""
        if isinstance(node, c_ast.Struct | c_ast.Union) and node.decls and node.name:
            self.types[f"struct {node.name}"] = node
        elif isinstance(node, c_ast.Enum) and node.values:
            self.types[f"enum {node.name}"] = node
            self.constants |= self._numbers(node)
        for _, child in node.children():
            self._take(child)

    def _numbers(self, enum: c_ast.Enum) -> dict[str, int]:
        found: dict[str, int] = {}
        following = 0
        for one in enum.values.enumerators:
            if one.value is not None:
                following = _number(
                    ast.parse(_text(one.value), mode="eval"), self.constants | found
                )
            found[one.name] = following
            following += 1
        return found

    def needed(self, functions: Iterable[str]) -> dict[str, list[str]]:
        """The types that these functions need, and the members of each in order."""
        found: dict[str, list[str]] = {}
        waiting: list[c_ast.Node] = [self.functions[name] for name in functions]
        while waiting:
            for name in _names(waiting.pop()):
                if name in self.types and name not in (*found, *PASSED_ON):
                    found[name] = self._parts(self.types[name])
                    waiting.append(self.types[name])
        return found

    def _parts(self, kind: c_ast.Node) -> list[str]:
        if isinstance(kind, c_ast.TypeDecl) and isinstance(kind.type, c_ast.Struct | c_ast.Enum):
            # An alias; or the only name of the type, which then has the members itself.
            return [kind.type.name] if kind.type.name else self._parts(kind.type)
        if isinstance(kind, c_ast.Enum):
            return [f"{name} = {value}" for name, value in self._numbers(kind).items()]
        if isinstance(kind, c_ast.Struct | c_ast.Union) and kind.decls:
            return [_text(one) for one in kind.decls]
        return [_text(kind)]


def read(source: Path) -> Header:
    """`llama.h` and all that it includes, from a folder with llama.cpp's source."""
    preprocessor = _Preprocessor()
    preprocessor.line_directive = None
    for folder in FOLDERS:
        preprocessor.add_path(str(source / folder))
    for nothing in ("__attribute__(x)", "_Noreturn"):
        preprocessor.define(f"{nothing} ")
    preprocessor.parse('#include "llama.h"\n')
    text = io.StringIO()
    preprocessor.write(text)
    return Header(text.getvalue())


def differences(
    bindings: Header, library: Header, functions: Iterable[str], constants: Iterable[str]
) -> list[str]:
    """The differences between the library and the bindings, a sentence each.

    Args:
        functions: names of the functions that are called.
        constants: names of the constants that are used.
    """
    both = []
    found = []
    for name in functions:
        lacking = [
            what
            for what, one in (("bindings have", bindings), ("library has", library))
            if name not in one.functions
        ]
        found += [f"the {what} no function {name}" for what in lacking]
        both += [] if lacking else [name]
    for name in both:
        ours, theirs = (_signature(one.functions[name]) for one in (bindings, library))
        if ours != theirs:
            found.append(f"{name} is {theirs} where the bindings have {ours}")
    others = library.needed(both)
    for name, parts in bindings.needed(both).items():
        if not name.startswith("enum "):
            found += [
                f"{name} has {b or 'nothing'} where the bindings have {a or 'nothing'}"
                for a, b in _first_difference(parts, others.get(name, []))
            ]
    for name in constants:
        number, other_number = (one.constants.get(name) for one in (bindings, library))
        if number != other_number:
            found.append(f"{name} is {other_number} where the bindings have {number}")
    return found


def _signature(function: c_ast.FuncDecl) -> str:
    """Types of result and parameters, without the parameters' names."""
    arguments = function.args.params if function.args else []
    return f"{_type(function.type)} ({', '.join(_type(one.type) for one in arguments)})"


def _type(node: c_ast.Node) -> str:
    if isinstance(node, c_ast.PtrDecl):
        return f"{_type(node.type)} *"
    if isinstance(node, c_ast.TypeDecl):
        inner = node.type
        if isinstance(inner, c_ast.Struct | c_ast.Enum | c_ast.Union):
            # `struct x` and a typedef of the same name are the same type.
            return " ".join([*node.quals, inner.name])
        return " ".join([*node.quals, *inner.names])
    return str(_text(node))


def _names(node: c_ast.Node) -> Iterator[str]:
    """The types named anywhere in it."""
    if isinstance(node, c_ast.Struct | c_ast.Union):
        yield f"struct {node.name}"
    elif isinstance(node, c_ast.Enum):
        yield f"enum {node.name}"
    elif isinstance(node, c_ast.IdentifierType):
        yield from node.names
    for _, child in node.children():
        yield from _names(child)


def _first_difference(ours: list[str], theirs: list[str]) -> Iterator[tuple[str, str]]:
    """Only the first one, since everything after it is shifted."""
    for index in range(max(len(ours), len(theirs))):
        a, b = ("".join(one[index : index + 1]) for one in (ours, theirs))
        if a != b:
            yield a, b
            return


def _number(expression: ast.AST, known: dict[str, int]) -> int:
    """The value of a constant expression, as far as headers use them."""
    match expression:
        case ast.Expression(body=body):
            return _number(body, known)
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, known)
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _number(left, known), _number(right, known)
            match operator:
                case ast.LShift():
                    return a << b
                case ast.BitOr():
                    return a | b
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
    raise ValueError(f"{ast.unparse(expression)} is not a supported constant expression")
