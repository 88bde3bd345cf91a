"""A prompt taken apart: which of its tokens belong to which message."""

import codecs
import secrets
from bisect import bisect_left
from collections.abc import Callable, Sequence

import msgspec

from appliance.api.chat.schemas import LeftOut, PromptPart, PromptPiece, SentAnswer
from appliance.api.generation.embedding import read_text
from appliance.chat.turns import SentPrompt
from appliance.engine.protocol import TextResult
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import ChatMessage, ChatPrompt, TextRequest

OnDisconnect = Callable[[Callable[[], None]], None]


def read_prompt(
    model: ServedModel, sent: SentPrompt, owner: str, on_disconnect: OnDisconnect
) -> SentAnswer:
    """The prompt as this model is given it.

    Raises:
        ApplianceError: the model can't be loaded, or its template refuses the chat.
    """
    request = TextRequest(
        kind="prompt", prompt=sent.prompt, session=sent.reply.session_id, owner=owner
    )
    read = read_text(model, request, on_disconnect)
    marks = _Marks(sent.prompt)
    request = TextRequest(kind="render", prompt=marks.prompt, owner=owner)
    template = marks.between(read_text(model, request, on_disconnect).text)
    usage = sent.reply.usage
    return SentAnswer(
        model=model.id,
        prompt_tokens=len(read.tokens),
        as_sent=len(read.tokens) == usage.prompt_tokens if usage and sent.known else None,
        cached_tokens=usage.cached_tokens if usage else None,
        parts=_parts(sent, read, template),
        left_out=[
            LeftOut(each.id, each.role, "too_long" if each.content else "empty")
            for each in sent.left_out
        ],
    )


class _Marks:
    """The same chat with marks for the messages' texts: what a template puts around them."""

    def __init__(self, prompt: ChatPrompt) -> None:
        name = secrets.token_hex(8)
        self._marks = [f"{name}x{number}x" for number in range(len(prompt.messages))]
        self.prompt = msgspec.structs.replace(
            prompt,
            messages=[
                ChatMessage(message.role, mark)
                for message, mark in zip(prompt.messages, self._marks, strict=True)
            ],
        )

    def between(self, text: str) -> list[str] | None:
        """What stands before each message; None: a template that does something else."""
        found = []
        for mark in self._marks:
            before, there, text = text.partition(mark)
            if not there:
                return None
            found.append(before)
        return found


def _parts(sent: SentPrompt, read: TextResult, template: Sequence[str] | None) -> list[PromptPart]:
    """All tokens, in parts that belong to a message or to the template."""
    texts = _texts(read.pieces)
    starts = [0]
    for text in texts:
        starts.append(starts[-1] + len(text))
    whole = "".join(texts)
    control = set(read.control)
    pieces = [
        PromptPiece(token, text, at in control)
        for at, (token, text) in enumerate(zip(read.tokens, texts, strict=True))
    ]
    ids: list[str | None] = [each.id for each in (*sent.messages, sent.reply)]
    if sent.system:
        ids.insert(0, None)
    parts: list[PromptPart] = []
    done = place = 0
    for number, message in enumerate(sent.prompt.messages):
        span = _find(whole, message.content.strip(), place, template, number)
        if span is None:
            continue
        place = span[1]
        # A token belongs to where its text begins.
        first, end = (bisect_left(starts, each, done, len(pieces)) for each in span)
        if first > done:
            parts.append(PromptPart(None, "template", pieces[done:first]))
        if end > first:
            parts.append(PromptPart(ids[number], message.role, pieces[first:end]))
        done = max(done, first, end)
    if done < len(pieces):
        parts.append(PromptPart(None, "template", pieces[done:]))
    return parts


def _find(
    whole: str, content: str, place: int, template: Sequence[str] | None, number: int
) -> tuple[int, int] | None:
    """Where a message's text stands, from `place` on."""
    if not content:
        return None
    if template is not None:
        around = whole.find(template[number], place)
        start = around + len(template[number])
        if around >= 0 and whole.startswith(content, start):
            return start, start + len(content)
    start = whole.find(content, place)
    return None if start < 0 else (start, start + len(content))


def _texts(pieces: Sequence[bytes]) -> list[str]:
    """The tokens' texts; a character of several tokens is the last one's."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [decoder.decode(piece) for piece in pieces]
    if texts:
        texts[-1] += decoder.decode(b"", final=True)
    return texts
