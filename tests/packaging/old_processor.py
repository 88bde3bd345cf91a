"""`appliance`, whose workers are the frozen program on a processor of 2008. Run as a program.

The first arguments are the frozen program and the processor's name; qemu-user imitates it.
"""

import sys
from pathlib import Path

from appliance.config import paths


def main() -> None:
    """The service itself is this checkout's; the processor does not matter to it."""
    program, processor, *rest = sys.argv[1:]
    inside = str(Path(program).parent / "_internal")
    # As if another of its processes had started it. Otherwise it would start itself once more to
    # say where its libraries are, and that one would run on the real processor.
    variables = {
        "LD_LIBRARY_PATH": inside,
        "_PYI_ARCHIVE_FILE": program,
        "_PYI_APPLICATION_HOME_DIR": inside,
        "_PYI_PARENT_PROCESS_LEVEL": "1",
    }
    imitate = ["qemu-x86_64", "-cpu", processor]
    for name, value in variables.items():
        imitate += ["-E", f"{name}={value}"]
    paths.worker_command = lambda: [*imitate, program, "worker"]
    paths.template_command = lambda: [program, "template"]
    sys.argv[1:] = rest
    from appliance.cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
