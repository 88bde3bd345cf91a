"""What a client wants of the model's vocabulary and template alone: no sequence comes of it."""

from appliance.engine.protocol import TextResult
from appliance.engine.types import TextRequest
from appliance.worker.prompt_tokenizer import PromptTokenizer
from appliance.worker.runners.base import Runner


def text_result(
    id: int, request: TextRequest, runner: Runner, tokenizer: PromptTokenizer
) -> TextResult:
    """The answer.

    Raises:
        RequestError: there is a token that is none, or the template refuses the messages.
    """
    if request.kind == "tokenize":
        tokens = tokenizer.tokens(request.text, parse_special=request.parse_special)
        if request.add_special:
            tokens = runner.with_bos(tokens)
        return TextResult(id, tokens, [runner.token_text(token) for token in tokens])
    if request.kind == "detokenize":
        tokenizer.check_tokens(request.tokens, "tokens")
        text = b"".join(map(runner.token_text, request.tokens))
        return TextResult(id, text=text.decode("utf-8", "replace"))
    return TextResult(id, text=tokenizer.show(request))
