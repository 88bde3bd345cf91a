"""Reading headers in a process that has little memory."""

import subprocess
import sys
from pathlib import Path

READ = """
import resource, sys
from pathlib import Path
from appliance.errors import BadModelFile
from appliance.models.gguf.header import read_header
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))

def peak():
    # Not getrusage's: that one remembers the process that started this one.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

before = peak()
for file in sys.argv[2:]:
    try:
        read_header(Path(file))
        print("read")
    except BadModelFile:
        print("refused")
print(peak() - before)
"""


def read_elsewhere(*files: Path) -> tuple[list[str], int]:
    """Read in a process that may have 256 MB; what came of it, and bytes that it took more."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(256 << 20), *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    *verdicts, grown = done.stdout.split()
    return verdicts, int(grown) * (1 if sys.platform == "darwin" else 1024)
