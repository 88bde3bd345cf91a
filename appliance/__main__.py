"""The one entry: a command for people, or a worker process when the appliance starts itself."""

import multiprocessing
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs what the command line says; ends the process with its exit code."""
    multiprocessing.freeze_support()
    # Before anything else is imported: a worker starts in the time of a few modules.
    if sys.argv[1:2] == ["worker"]:
        from appliance.engine.worker import main as worker_main

        sys.exit(worker_main())
    from appliance import cli

    cli.main()


if __name__ == "__main__":
    main()
