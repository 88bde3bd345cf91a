"""The only entry point: the command line, or a worker process when the appliance starts itself."""

import os
import sys
from typing import NoReturn


def open_standard_streams() -> None:
    """Whichever of stdin, stdout and stderr is closed leads nowhere from now on.

    The next file that is opened would get its number otherwise, and with it what is printed: the
    database, for one. Python has None in the place of such a stream.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - stays
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def main() -> NoReturn:
    """Runs what the command line says; ends the process with its exit code."""
    open_standard_streams()
    # Before anything else is imported: these start in the time of a few modules.
    if sys.argv[1:2] == ["worker"]:
        from appliance.worker.main import main as worker_main

        sys.exit(worker_main(ahead=sys.argv[2:] == ["ahead"]))
    if sys.argv[1:2] == ["template"]:
        from appliance.worker.chat_template.sandbox_process import main as template_main

        sys.exit(template_main())
    if sys.argv[1:2] == ["read-file"]:
        from appliance.chat.attachments.reader_process import main as reader_main

        sys.exit(reader_main())
    if sys.argv[1:2] == ["probe"]:
        from appliance.worker.runners.llama_cpp.probe import main as probe_main

        sys.exit(probe_main(gpus=sys.argv[2:] != ["without-gpus"]))
    if sys.argv[1:2] == ["proof"]:
        from appliance.tuning.process.variants import main as proof_main

        sys.exit(proof_main())
    if sys.argv[1:2] == ["tuner"]:
        from appliance.tuning.process.main import main as tuner_main

        sys.exit(tuner_main())
    if sys.argv[1:2] == ["fidelity"]:
        from appliance.tuning.process.devices import main as fidelity_main

        sys.exit(fidelity_main())
    if sys.argv[1:2] == ["window"]:
        from appliance.config.environment import forget_frozen_libraries
        from appliance.desktop.window import main as window_main

        forget_frozen_libraries()

        sys.exit(window_main())
    from appliance.cli.main import main as cli_main

    cli_main()


if __name__ == "__main__":
    main()
