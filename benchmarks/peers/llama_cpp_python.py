"""`llama-cpp-python[server]`: one request at a time, the others wait."""

import socket

import uvicorn
from llama_cpp.server.app import create_app
from llama_cpp.server.settings import ModelSettings, ServerSettings

from benchmarks.peers import end_with_input, given, load_backends


def main() -> None:
    """It has one sequence, which gets what elsewhere is a slot's share of the context."""
    told = given()
    load_backends()
    app = create_app(
        # As it comes, a new request cuts the stream of the one before it short.
        server_settings=ServerSettings(interrupt_requests=False),
        model_settings=[
            ModelSettings(
                model=told.model,
                n_ctx=told.cells // told.slots,
                n_threads=told.threads,
                n_threads_batch=told.threads,
                logits_all=False,
                verbose=False,
            )
        ],
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        end_with_input()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
