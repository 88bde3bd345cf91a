"""What a client wants of the model's vocabulary and template alone: no sequence comes of it."""

from appliance.engine.kv_files import opaque
from appliance.engine.protocol import TextResult
from appliance.engine.types import TextRequest
from appliance.worker.attached_texts import AttachedTexts
from appliance.worker.prompt_tokenizer import PromptTokenizer
from appliance.worker.runners.base import Runner
from appliance.worker.scheduler.prompt_tokens import PromptTokens, Scope
from appliance.worker.scheduler.written_tokens import WrittenTokens


def text_result(
    id: int,
    request: TextRequest,
    runner: Runner,
    tokenizer: PromptTokenizer,
    written: WrittenTokens,
    attached: AttachedTexts,
) -> TextResult:
    """The answer; `written`: the replies of which the tokens are known.

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
    if request.kind == "fit":
        return TextResult(id, fits=attached.fits(request.attached), n_ctx=runner.info.n_ctx)
    if request.kind == "prompt":
        assert request.prompt
        scope = Scope(opaque(request.owner), opaque(request.session) if request.session else "")
        chat, _ = attached.put_in(request.prompt)
        prompt = PromptTokens(tokenizer.prompt_tokens(chat), scope)
        prompt = tokenizer.as_written(prompt, written)
        tokens = prompt.ids(0, len(prompt)).tolist()
        control = [at for at, token in enumerate(tokens) if token in tokenizer.control_tokens]
        return TextResult(id, tokens, [runner.token_text(token) for token in tokens], control)
    return TextResult(id, text=tokenizer.show(request))
