"""The one entry: a command for people, or a worker process when the appliance starts itself."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs what the command line says; ends the process with its exit code."""
    # Before anything else is imported: these start in the time of a few modules.
    if sys.argv[1:2] == ["worker"]:
        from appliance.engine.worker import main as worker_main

        sys.exit(worker_main(ahead=sys.argv[2:] == ["ahead"]))
    if sys.argv[1:2] == ["template"]:
        from appliance.engine.template_child import main as template_main

        sys.exit(template_main())
    if sys.argv[1:2] == ["probe"]:
        from appliance.engine.probe import main as probe_main

        sys.exit(probe_main())
    if sys.argv[1:2] == ["proof"]:
        from appliance.engine.runners.llama_proof import main as proof_main

        sys.exit(proof_main())
    if sys.argv[1:2] == ["tuner"]:
        from appliance.engine.runners.llama_tune import main as tuner_main

        sys.exit(tuner_main())
    if sys.argv[1:2] == ["fidelity"]:
        from appliance.engine.runners.llama_fidelity import main as fidelity_main

        sys.exit(fidelity_main())
    if sys.argv[1:2] == ["window"]:
        from appliance.desktop.window import main as window_main
        from appliance.environment import forget_frozen_libraries

        forget_frozen_libraries()

        sys.exit(window_main())
    from appliance.cli.main import main as cli_main

    cli_main()


if __name__ == "__main__":
    main()
