"""What llama.cpp finds on this machine, asked in a process of its own that ends right after.

The appliance's own process never loads native model code, so `appliance doctor` starts this.
"""

import contextlib
import sys
from typing import Any

import msgspec

from appliance.engine import libraries
from appliance.engine.runners.base import LoadError

WITHOUT_GPUS = "without-gpus"


def main() -> int:
    """Entry of the process: JSON of `llama_library.Library` on stdout, or an `error` alone. Returns
    the exit code.

    With `without-gpus` behind the command no driver of a GPU runs, which may end the process.
    """
    found: Any
    try:
        from appliance.engine.runners import llama_library

        if sys.argv[2:] == [WITHOUT_GPUS]:
            for name in libraries.variants():
                with contextlib.suppress(LoadError):
                    llama_library.start(name, gpus=False)
                    break
        else:
            llama_library.start()
        found = llama_library.describe()
    except LoadError as ex:
        found = {"error": str(ex)}
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0
