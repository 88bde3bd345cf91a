"""The child process of `tuning.tune`: a request on stdin, results on stdout."""

import msgspec

from appliance.system.process_setup import take_request
from appliance.tuning.process.tuner import Tuner, measured
from appliance.tuning.protocol import CannotLoad, Measure, TuneRequest
from appliance.worker.runners.base import LoadError
from appliance.worker.runners.llama_cpp.native import library


def main() -> int:
    """Entry of the process: a request on stdin, lines on stdout, log lines on stderr."""
    line, send = take_request()
    request = msgspec.json.decode(line, type=TuneRequest | Measure)
    try:
        library.start(request.variant)
        if isinstance(request, Measure):
            send(measured(request))
        else:
            Tuner(request, send).run()
    except LoadError as ex:
        send(CannotLoad(str(ex)))
        return 1
    return 0
