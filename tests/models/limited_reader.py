"""Reads headers in a process with little memory."""

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
    """Read in a process limited to 256 MB; the result, and the additional bytes it took."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(256 << 20), *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    *verdicts, grown = done.stdout.split()
    return verdicts, int(grown) * (1 if sys.platform == "darwin" else 1024)
