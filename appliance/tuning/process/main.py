"""The child process of `tuning.tune`: a request on stdin, what came of it on stdout."""

import msgspec

from appliance.system.json_process_main import begin
from appliance.tuning.process.tuner import Tuner, measured
from appliance.tuning.protocol import CannotLoad, Measure, Request
from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.native import library


def main() -> int:
    """Entry of the process: a request on stdin, lines on stdout, log lines on stderr."""
    line, tell = begin()
    request = msgspec.json.decode(line, type=Request | Measure)
    try:
        library.start(request.variant)
        if isinstance(request, Measure):
            tell(measured(request))
        else:
            Tuner(request, tell).run()
    except LoadError as ex:
        tell(CannotLoad(str(ex)))
        return 1
    return 0
