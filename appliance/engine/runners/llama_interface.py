"""Whether the libraries and the functions that call them are of one interface.

`llama_interface.json` says what the appliance calls, and what llama.cpp answers when it is asked
for its defaults. A field that moved or came anew shifts those behind it, so an answer that is as
expected means that the structures are those that the bindings know. `packaging/native/relied_on.py`
writes it.
"""

import ctypes
import sys
from pathlib import Path
from typing import Any

import msgspec

from appliance.engine.runners import llama_binding
from appliance.engine.runners.llama_binding import lib

DESCRIPTION = Path(__file__).with_suffix(".json")

Value = int | float | bool | str | None


class Interface(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the appliance relies on."""

    functions: list[str]
    """That it calls."""
    defaults: dict[str, dict[str, Value]]
    """What functions without arguments give: fields and their values; of pointers whether they
    point anywhere."""


def described() -> Interface:
    """What is relied on."""
    return msgspec.json.decode(DESCRIPTION.read_bytes(), type=Interface)


def defaults(function: str) -> dict[str, Value]:
    """The fields that a function of the library gives."""
    given = getattr(lib, function)()
    return {name: _value(getattr(given, name)) for name, *_ in given._fields_}


def _value(value: Any) -> Value:
    if isinstance(value, float):
        return round(value, 6)
    if value is None or isinstance(value, int):
        return value
    return "pointer" if bool(ctypes.cast(value, ctypes.c_void_p).value) else None


def differences() -> list[str]:
    """What does not fit, a sentence each; none: all does."""
    relied_on = described()
    native: ctypes.CDLL = lib._lib  # noqa: SLF001 - it has no other name
    for name in relied_on.functions:
        getattr(native, name)  # which notes those that are not there
    absent = [name for name in relied_on.functions if name in llama_binding.missing]
    found = [f"the library has no function {name}" for name in absent]
    for function, expected in relied_on.defaults.items():
        given = defaults(function)
        found += [
            f"{function}: {field} is {given.get(field)!r} where {expected.get(field)!r} "
            "was expected"
            for field in {**expected, **given}
            if given.get(field) != expected.get(field)
        ]
    return found


def main() -> None:
    """Entry of a process: says what does not fit; its exit code is 1 then."""
    found = differences()
    sys.stderr.write("".join(f"{sentence}\n" for sentence in found))
    sys.exit(1 if found else 0)
