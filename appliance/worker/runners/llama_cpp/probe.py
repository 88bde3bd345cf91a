"""What llama.cpp finds on this machine, in a process of its own that ends right after.

The appliance's own process never loads native model code, so `appliance doctor` starts this.
"""

import contextlib
import sys
from typing import Any

import msgspec

from appliance.system import llama_libraries
from appliance.worker.runners.base import LoadError


def main(*, gpus: bool = True) -> int:
    """Entry of the process: JSON of `library.LlamaLibrary` on stdout, or an `error` alone. Returns
    the exit code.

    Without `gpus` no driver of a GPU runs: one may end the process.
    """
    found: Any
    try:
        from appliance.worker.runners.llama_cpp.native import library

        if not gpus:
            for name in llama_libraries.variants():
                with contextlib.suppress(LoadError):
                    library.start(name, gpus=False)
                    break
        else:
            library.start()
        found = library.describe()
    except LoadError as ex:
        found = {"error": str(ex)}
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0
