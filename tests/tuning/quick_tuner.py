"""An appliance whose tuner measures each candidate for a tenth of the time and with one thread, and
reads less of the text that shows whether a candidate is true to the model.

    python -m tests.tuning.quick_tuner serve …

Two threads that wait for each other on a core compute nothing.
"""

import sys
from types import SimpleNamespace

from appliance import __main__
from appliance.config import paths

COMMAND = (sys.executable, "-m", "tests.tuning.quick_tuner")


def main() -> None:
    """A command of the appliance."""
    paths.tuner_command = lambda: [*COMMAND, "tuner"]
    if sys.argv[1:2] == ["tuner"]:
        from appliance.tuning.process import bench, tuner

        bench.PART_SECONDS, tuner.ROUNDS = 0.03, bench.MIN_ROUNDS
        tuner.MIN_TOKENS, tuner.MAX_TOKENS = 96, 192
        vars(tuner).update(physical_cores=lambda: 1, processor=lambda: SimpleNamespace(threads=1))
    __main__.main()


if __name__ == "__main__":
    main()
