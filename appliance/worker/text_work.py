"""What a client wants of the model's vocabulary and template alone: no sequence comes of it."""

from collections.abc import Callable

from appliance.engine.protocol import TextResult
from appliance.engine.types import TextRequest
from appliance.errors import RequestError
from appliance.worker.runners.base import Runner

Show = Callable[[TextRequest], str]


def text_result(id: int, request: TextRequest, runner: Runner, show: Show) -> TextResult:
    """The answer; `show` renders messages.

    Raises:
        RequestError: there is a token that is none, or the template refuses the messages.
    """
    if request.kind == "tokenize":
        tokens = runner.tokenize(request.text, parse_special=request.parse_special)
        if request.add_special:
            tokens = runner.with_bos(tokens)
        return TextResult(id, tokens, [runner.token_text(token) for token in tokens])
    if request.kind == "detokenize":
        if not all(0 <= token < runner.n_vocab for token in request.tokens):
            raise RequestError(
                f"tokens must lie between 0 and {runner.n_vocab - 1}", param="tokens"
            )
        text = b"".join(map(runner.token_text, request.tokens))
        return TextResult(id, text=text.decode("utf-8", "replace"))
    return TextResult(id, text=show(request))
