"""llama.cpp's own server, as `xllamacpp` packs it."""

import sys

import xllamacpp

from benchmarks.peers import given


def main() -> None:
    """Every other setting is left as llama-server has it."""
    told = given()
    params = xllamacpp.CommonParams()
    params.model.path = told.model
    params.n_ctx = told.cells
    params.n_parallel = told.slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = told.threads
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
