"""mistral.rs. Its Python package has no server, so this is a minimal one that streams."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers import ServerOptions, end_with_input, read_options


def main() -> None:
    """Loads the model and serves it."""
    options = read_options()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["RUST_LOG"] = "error"  # its log goes where the address is printed
    import uvicorn

    app = _app(_runner(options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        end_with_input()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def _runner(options: ServerOptions) -> Any:
    from mistralrs import Runner, Which

    model = Path(options.model)
    return Runner(
        which=Which.GGUF(quantized_model_id=str(model.parent), quantized_filename=model.name),
        max_seqs=options.slots,
        token_source="none",  # noqa: S106 - it needs no key
    )


def _app(runner: Any) -> Any:
    from mistralrs import ChatCompletionRequest
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    def events(body: dict[str, Any]) -> Iterator[str]:
        chunks = runner.send_chat_completion_request(
            ChatCompletionRequest(
                model="default",
                messages=body["messages"],
                max_tokens=body["max_tokens"],
                temperature=body["temperature"],
                ignore_eos=body["ignore_eos"],
                stream=True,
            )
        )
        for chunk in chunks:
            text = chunk.choices[0].delta.content
            yield f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n"

    async def complete(request: Request) -> StreamingResponse:
        return StreamingResponse(events(await request.json()), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


if __name__ == "__main__":
    main()
