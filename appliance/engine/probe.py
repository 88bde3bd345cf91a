"""What llama.cpp finds on this machine, told by a process that ends right after.

The appliance's own process never loads native model code, so `appliance doctor` starts this.
"""

import sys

import msgspec


def main() -> int:
    """Entry of the process: JSON of `llama_library.Library` on stdout. Returns the exit code."""
    from appliance.engine.runners import llama_library

    llama_library.start()
    sys.stdout.write(msgspec.json.encode(llama_library.describe()).decode() + "\n")
    return 0
