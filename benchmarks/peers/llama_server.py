"""llama.cpp's own server, with the same source and libraries as the appliance."""

import subprocess
import sys
import threading

from benchmarks.peers import LLAMA_SERVER, read_options

_STOP_SECONDS = 10.0


def main() -> None:
    """Starts it; all other settings are llama-server's defaults."""
    options = read_options()
    command = [str(LLAMA_SERVER), "--model", options.model, "--host", "127.0.0.1", "--port", "0"]
    command += ["--ctx-size", str(options.cells), "--parallel", str(options.slots)]
    command += ["--threads", str(options.threads), "--threads-batch", str(options.threads)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
        assert server.stderr
        for line in server.stderr:
            sys.stderr.write(line)
            if " listening on " in line:
                print(line.split()[-1], flush=True)


def _end_with_input(server: "subprocess.Popen[str]") -> None:
    sys.stdin.read()
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    main()
