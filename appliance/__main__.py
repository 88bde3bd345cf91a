"""The one entry: a command for people, or a worker process when the appliance starts itself."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs what the command line says; ends the process with its exit code."""
    # Before anything else is imported: these start in the time of a few modules.
    if sys.argv[1:2] == ["worker"]:
        from appliance.worker.main import main as worker_main

        sys.exit(worker_main(ahead=sys.argv[2:] == ["ahead"]))
    if sys.argv[1:2] == ["template"]:
        from appliance.worker.chat_template.sandbox_process import main as template_main

        sys.exit(template_main())
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
