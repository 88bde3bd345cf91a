"""Counts the tokens of a prompt, as the model sees it."""

from collections.abc import Callable

import msgspec

from appliance.api.generation.stream import SequenceFeed, error_of
from appliance.api.wire.streams import wait_for_events
from appliance.engine.protocol import Accepted, Failed, Finished, Terminal
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import GenerationRequest
from appliance.errors import ContextLengthExceeded, ShuttingDown


def count_prompt_tokens(
    model: ServedModel,
    request: GenerationRequest,
    on_disconnect: Callable[[Callable[[], None]], None],
) -> int:
    """Tokens of the request's prompt, also of one that the context does not hold. It is rendered
    and tokenized, and ends before it is computed; an upstream that has no route for it, and reports
    the length at the end alone, computes it, and one token.

    Raises:
        ApplianceError: it cannot be read, or the model is not there.
    """
    shortest = msgspec.structs.replace(request.sampling, max_tokens=1)
    request = msgspec.structs.replace(request, sampling=shortest, count_only=True)
    feed = SequenceFeed()
    feed.submitted(model.submit(request, feed.sink(0)))
    on_disconnect(feed.close)
    try:
        for _, event in wait_for_events(feed):
            if isinstance(event, Accepted | Finished) and event.prompt_tokens:
                return event.prompt_tokens
            if isinstance(event, Failed):
                error = error_of(event)
                if isinstance(error, ContextLengthExceeded) and error.lengths:
                    return error.lengths[0]
                raise error
            if isinstance(event, Terminal):
                break
    finally:
        feed.close()
    raise ShuttingDown("the request was cancelled")
