"""What llama.cpp finds on this machine, told by a process that ends right after.

The appliance's own process never loads native model code, so `appliance doctor` starts this.
"""

import sys
from typing import Any

import msgspec

from appliance.engine.runners.base import LoadError


def main() -> int:
    """Entry of the process: JSON of `llama_library.Library` on stdout, or an `error` alone. Returns
    the exit code."""
    found: Any
    try:
        from appliance.engine.runners import llama_library

        llama_library.start()
        found = llama_library.describe()
    except LoadError as ex:
        found = {"error": str(ex)}
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0
