"""What the appliance's own source calls of llama.cpp, and how the installed library answers.

python -m native.relied_on              writes `llama_interface.json` beside its module
"""

import ast
import importlib.util
import re
from pathlib import Path

import msgspec

RUNNERS = Path(__file__).resolve().parents[2] / "appliance" / "engine" / "runners"
DEFAULTS = (
    "llama_context_default_params",
    "llama_model_default_params",
    "llama_model_quantize_default_params",
    "llama_sampler_chain_default_params",
)


def functions() -> list[str]:
    """Names, sorted: what of `lib` the bindings declare as a function, and what `native` gets."""
    spec = importlib.util.find_spec("llama_cpp")
    (package,) = (spec and spec.submodule_search_locations) or [""]
    bindings = Path(package, "llama_cpp.py").read_text("utf-8")
    declared = set(re.findall(r"@ctypes_function\(\s*\"(\w+)\"", bindings))
    found = set()
    for file in RUNNERS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id="lib"), attr=name) if name in declared:
                    found.add(name)
                case ast.Call(func=ast.Name(id="native"), args=[ast.Constant(value=name), *_]):
                    found.add(str(name))
    return sorted(found)


def main() -> None:
    """Writes down what is there now."""
    from appliance.engine.runners import llama_interface

    told = llama_interface.Interface(
        functions(), {name: llama_interface.defaults(name) for name in DEFAULTS}
    )
    text = msgspec.json.format(msgspec.json.encode(told), indent=2)
    llama_interface.DESCRIPTION.write_bytes(text + b"\n")


if __name__ == "__main__":
    main()
