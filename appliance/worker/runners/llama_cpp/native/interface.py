"""Whether the libraries and the bindings have the same interface.

`interface.json` says what the appliance calls, and what llama.cpp answers when it is asked
for its defaults and for names of types. A field that moved or came anew shifts those behind it, so
an answer that is as expected means that the structures are those that the bindings know.
`packaging/native/relied_on.py` writes it. It is held at install, and again by each process before
it loads anything: a library that was put in place by hand is not half right either.
"""

import ctypes
import sys
from pathlib import Path
from typing import Any

import msgspec

from appliance.system import llama_libraries
from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.native import bindings, structures
from appliance.worker.runners.llama_cpp.native.bindings import lib, native

DESCRIPTION = Path(__file__).with_suffix(".json")
SENTENCES_SHOWN = 4

FieldValue = int | float | bool | str | None


class Interface(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the appliance relies on."""

    functions: list[str]
    """That it calls."""
    defaults: dict[str, dict[str, FieldValue]]
    """What functions without arguments give: fields and their values; of pointers whether they
    point anywhere."""
    names: dict[str, dict[int, str]]
    """What functions that name a type return for the numbers that it uses."""


def described() -> Interface:
    """What is relied on."""
    return msgspec.json.decode(DESCRIPTION.read_bytes(), type=Interface)


def defaults(function: str) -> dict[str, FieldValue]:
    """The fields that a function of the library gives."""
    given = getattr(lib, function)()
    return {name: _value(getattr(given, name)) for name, *_ in given._fields_}


def name(function: str, number: int) -> str:
    """What a function of the library returns for a type's number."""
    found = native(function, ctypes.c_char_p, ctypes.c_int)(number)
    return found.decode() if found else ""


def _value(value: Any) -> FieldValue:
    if isinstance(value, float):
        return round(value, 6)
    if value is None or isinstance(value, int):
        return value
    return "pointer" if bool(ctypes.cast(value, ctypes.c_void_p).value) else None


def differences() -> list[str]:
    """What does not fit, a sentence each; none: all does."""
    relied_on = described()
    library: ctypes.CDLL = lib._lib  # noqa: SLF001 - it has no other name
    for function in relied_on.functions:
        getattr(library, function)  # which notes those that are not there
    absent = [one for one in relied_on.functions if one in bindings.missing]
    if absent:
        return [f"there is no function {function}" for function in absent]
    found = structures.differences(
        {function: getattr(lib, function).restype for function in relied_on.defaults}
    )
    for function, expected in relied_on.defaults.items():
        given = defaults(function)
        found += [
            f"{function}: {field} is {given.get(field)!r} where {expected.get(field)!r} "
            "was expected"
            for field in {**expected, **given}
            if given.get(field) != expected.get(field)
        ]
    for function, names in relied_on.names.items():
        found += [
            f"{function}: {number} is {name(function, number)!r} where {expected_name!r} "
            "was expected"
            for number, expected_name in names.items()
            if name(function, number) != expected_name
        ]
    return found


def check() -> None:
    """
    Raises:
        LoadError: library and bindings do not fit; it says which, and in what.
    """
    found = differences()
    if found:
        more = len(found) - SENTENCES_SHOWN
        shown = "; ".join(found[:SENTENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise LoadError(
            f"{llama_libraries.found().get('llama')} is not the llama.cpp that the appliance was "
            f"made for: {shown}"
        )


def main() -> None:
    """Entry of a process: says what does not fit; its exit code is 1 then."""
    found = differences()
    sys.stderr.write("".join(f"{sentence}\n" for sentence in found))
    sys.exit(1 if found else 0)
