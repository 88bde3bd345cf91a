"""`appliance run`: a question to a model, or a conversation with it, in the terminal."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from appliance.cli import options
from appliance.client.http import Client, client_of, connect
from appliance.config import terminal
from appliance.config.schema import Config
from appliance.errors import ApplianceError, InternalError

CHAT = "/v1/chat/completions"


@click.command()
@click.argument("model")
@click.argument("prompt", required=False)
@options.config_file
@options.as_json
def run(model: str, prompt: str | None, config_file: Path | None, as_json: bool) -> None:
    """Ask MODEL the PROMPT, or what comes on standard input; in a terminal, talk with it."""
    config = options.configuration(config_file)
    options.heed_interrupt()
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
    with _service(config) as client:
        if prompt is None:
            _talk(client, model)
            return
        messages = [{"role": "user", "content": prompt}]
        if as_json:
            options.print_json(client.call("POST", CHAT, {"model": model, "messages": messages}))
        else:
            _answer(client, model, messages)


def _talk(client: Client, model: str) -> None:
    """Until the end of input. A failure is reported, and the question can be repeated."""
    messages: list[dict[str, Any]] = []
    while True:
        try:
            question = input("> ")
        except (EOFError, KeyboardInterrupt):
            options.say()
            return
        if not question.strip():
            continue
        messages.append({"role": "user", "content": question})
        try:
            messages.append({"role": "assistant", "content": _answer(client, model, messages)})
        except KeyboardInterrupt:
            options.say()
            messages.pop()
        except ApplianceError as ex:
            options.say(f"appliance: {terminal.line(str(ex))}", err=True)
            messages.pop()


def _answer(client: Client, model: str, messages: list[dict[str, Any]]) -> str:
    """Print the reply as it comes, and return it."""
    text = ""
    body = {"model": model, "messages": messages, "stream": True}
    for event in client.stream(CHAT, body):
        for choice in event["choices"]:
            thought = choice["delta"].get("reasoning_content") or ""
            if thought and sys.stdout.isatty():
                options.say(thought, end=False, dim=True)
            piece = choice["delta"].get("content") or ""
            text += piece
            options.say(piece, end=False)
    options.say()
    return text


@contextmanager
def _service(config: Config) -> Iterator[Client]:
    """The service that runs, or one of our own for as long as it takes."""
    client = connect(config)
    if client:
        yield client
        return
    from appliance.config import logging, paths
    from appliance.service.appliance import Appliance

    logging.configure_logging("error")
    private = msgspec.structs.replace(config.server, host="127.0.0.1", port=0)
    appliance = Appliance(msgspec.structs.replace(config, server=private), warm=False)
    thread = threading.Thread(target=appliance.run, name="service")
    thread.start()
    try:
        own = client_of(paths.data_dir(config))
        if own is None:
            raise InternalError("the service that was just started is gone")
        yield own
    finally:
        appliance.stop_now()
        thread.join()
