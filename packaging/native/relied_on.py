"""The part of llama.cpp's interface that the appliance uses, as the installed library has it.

python -m native.relied_on              writes `interface.json` beside its module
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

SOURCE = Path(__file__).resolve().parents[2] / "appliance"
DEFAULTS = (
    "llama_context_default_params",
    "llama_model_default_params",
    "llama_model_quantize_default_params",
    "llama_sampler_chain_default_params",
)
NAMES = {"ggml_type_name": "GGML_TYPE_", "llama_ftype_name": "LLAMA_FTYPE_"}
"""Functions that return the name of a constant, and the prefix of those constants."""


def functions() -> list[str]:
    """Names, sorted: functions of `lib` that the bindings declare, and arguments of `native`."""
    spec = importlib.util.find_spec("llama_cpp")
    (package,) = (spec and spec.submodule_search_locations) or [""]
    bindings = Path(package, "llama_cpp.py").read_text("utf-8")
    declared = set(re.findall(r"@ctypes_function\(\s*\"(\w+)\"", bindings))
    found = set()
    for node in _nodes():
        match node:
            case ast.Attribute(value=ast.Name(id="lib"), attr=name) if name in declared:
                found.add(name)
            case ast.Call(func=ast.Name(id="native"), args=[ast.Constant(value=name), *_]):
                found.add(str(name))
    return sorted({*found, *NAMES})


def constants() -> list[str]:
    """Names, sorted: the constants of `lib` that the source uses."""
    found = set()
    for node in _nodes():
        match node:
            case ast.Attribute(value=ast.Name(id="lib"), attr=name) if name.isupper():
                found.add(name)
    return sorted(found)


def _nodes() -> Iterator[ast.AST]:
    """The nodes of every file that calls llama.cpp."""
    for file in SOURCE.rglob("*.py"):
        text = file.read_text("utf-8")
        if "native.bindings import" in text:
            yield from ast.walk(ast.parse(text))


def main() -> None:
    """Writes the description of the installed library."""
    from appliance.worker.runners.llama_cpp.native import interface
    from appliance.worker.runners.llama_cpp.native.bindings import lib

    numbers = {
        function: [getattr(lib, name) for name in constants() if name.startswith(prefix)]
        for function, prefix in NAMES.items()
    }
    described = interface.Interface(
        functions=functions(),
        defaults={name: interface.defaults(name) for name in DEFAULTS},
        names={
            function: {number: interface.name(function, number) for number in sorted(given)}
            for function, given in numbers.items()
        },
    )
    text = msgspec.json.format(msgspec.json.encode(described), indent=2)
    interface.DESCRIPTION.write_bytes(text + b"\n")


if __name__ == "__main__":
    main()
