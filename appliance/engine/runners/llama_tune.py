"""The child process of `engine.tune`: a request on stdin, what came of it on stdout."""

import msgspec

from appliance.engine.runners import llama_library
from appliance.engine.runners.base import LoadError
from appliance.engine.runners.lines import begin
from appliance.engine.runners.llama_tuner import Tuner, measured
from appliance.engine.tune_protocol import CannotLoad, Measure, Request


def main() -> int:
    """Entry of the process: a request on stdin, lines on stdout, log lines on stderr."""
    line, tell = begin()
    request = msgspec.json.decode(line, type=Request | Measure)
    try:
        llama_library.start(request.variant)
        if isinstance(request, Measure):
            tell(measured(request))
        else:
            Tuner(request, tell).run()
    except LoadError as ex:
        tell(CannotLoad(str(ex)))
        return 1
    return 0
