"""llama.cpp's own server with a model file, in a process that ends with its standard input.

    python llama_server.py MODEL N_CTX N_PARALLEL [POOLING]

With POOLING, as llama.cpp counts, it gives embeddings alone; -1: as the file says. Prints the
server's address.
"""

import sys

import xllamacpp


def main() -> None:
    path, n_ctx, n_parallel, *pooling = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {"smollm2"}
    params.n_ctx = int(n_ctx) * int(n_parallel)
    params.n_parallel = int(n_parallel)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.endpoint_slots = True
    params.warmup = False
    # Short steps, so that it reports its state in between; one thread, because several wait for
    # each other by spinning.
    params.n_batch = params.n_ubatch = 32
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if pooling:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type(int(pooling[0]))
        params.n_batch = params.n_ubatch = int(n_ctx)
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
