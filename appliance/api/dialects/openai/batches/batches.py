"""`/v1/batches`: many requests at once, answered when nobody else wants anything."""

import time
from collections.abc import Iterable, Iterator

import falcon
import msgspec

from appliance.api.dialects.openai.batches.files import page_of
from appliance.api.dialects.openai.batches.runner import BatchRunner
from appliance.api.dialects.openai.batches.schemas import (
    BatchError,
    BatchesQuery,
    BatchList,
    BatchObject,
    BatchRequest,
    NewBatch,
)
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import decode_query
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.auth.keys.scopes import Caller
from appliance.config.validation import ValidationFault
from appliance.errors import NotFound, RequestError
from appliance.store.callers.batches import BatchLine, BatchState

operation = Operations("OpenAI")

MOST_LINES = 50_000
MOST_LINE_BYTES = 8 * 1024 * 1024
"""As a request may have."""
MOST_ERRORS = 100
"""That are listed of one file."""


class Batches:
    """`/v1/batches` and below"""

    def __init__(self, runner: BatchRunner) -> None:
        self._book = runner.book
        self._runner = runner

    @operation(takes=NewBatch, gives=BatchObject, errors=(404, 409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a batch. If its file is wrong, it fails at once, and `errors` say why."""
        body, ignored = decode_lenient(req, NewBatch)
        caller: Caller = req.context.caller
        try:
            content = self._book.content(caller.owner, body.input_file_id)
        except NotFound as ex:
            raise NotFound(ex.message, param="input_file_id") from ex
        id = self._book.new_id("batch_")
        total, errors = check_lines(content, body.endpoint)
        now = int(time.time())
        state = BatchState(
            id=id,
            endpoint=body.endpoint,
            input_file_id=body.input_file_id,
            status="failed" if errors else "in_progress",
            created_at=now,
            ended_at=now if errors else None,
            metadata=body.metadata or {},
            errors=[msgspec.to_builtins(error) for error in errors],
            caller=msgspec.to_builtins(caller),
            total=0 if errors else total,
        )
        # Read once more rather than kept: a file may be as large as memory.
        again = () if errors else self._book.content(caller.owner, body.input_file_id)
        self._book.add_batch(caller.owner, state, read_lines(id, again, body.endpoint))
        self._runner.wake()
        resp.media = BatchObject.of(state)
        warn(resp, ignored)

    @operation(gives=BatchList, query=BatchesQuery)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The caller's batches, the newest first."""
        query = decode_query(req, BatchesQuery)
        found = self._book.batches(req.context.caller.owner)
        page, more = page_of(found, query.after, query.limit)
        resp.media = BatchList(
            data=[BatchObject.of(state) for state in page],
            first_id=page[0].id if page else None,
            last_id=page[-1].id if page else None,
            has_more=more,
        )

    @operation(gives=BatchObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, batch_id: str) -> None:
        """A batch."""
        resp.media = BatchObject.of(self._book.batch(req.context.caller.owner, batch_id))

    @operation(gives=BatchObject, errors=(409,))
    def on_post_cancel(self, req: falcon.Request, resp: falcon.Response, batch_id: str) -> None:
        """End a batch; the results that there are stay."""
        state = self._book.cancel(req.context.caller.owner, batch_id)
        self._runner.cancel(batch_id)
        resp.media = BatchObject.of(state)


def check_lines(content: Iterable[bytes], endpoint: str) -> tuple[int, list[BatchError]]:
    """How many requests a file has, and what is wrong with it."""
    total = 0
    errors: list[BatchError] = []
    seen: set[str] = set()
    for number, raw in lines_of(content):
        try:
            request = _read_line(raw, endpoint)
            if request.custom_id in seen:
                raise RequestError("custom_id: another line has the same", param="custom_id")
        except RequestError as ex:
            code = "invalid_json_line" if ex.param is None else "invalid_request"
            errors.append(BatchError(code=code, message=ex.message, param=ex.param, line=number))
            if len(errors) == MOST_ERRORS:
                break
            continue
        seen.add(request.custom_id)
        total += 1
        if total > MOST_LINES:
            message = f"the file has more than {MOST_LINES} requests, which is the most"
            errors.append(BatchError(code="too_many_tasks", message=message, param="input_file_id"))
            break
    if not total and not errors:
        message = "the file has no requests"
        errors.append(BatchError(code="empty_file", message=message, param="input_file_id"))
    return total, errors


def read_lines(batch_id: str, content: Iterable[bytes], endpoint: str) -> Iterator[BatchLine]:
    """The requests of a file that was checked."""
    for number, raw in lines_of(content):
        request = _read_line(raw, endpoint)
        body = msgspec.json.encode(request.body)
        yield BatchLine(batch_id=batch_id, number=number, custom_id=request.custom_id, body=body)


def lines_of(content: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines that aren't empty, with their numbers, of a file in pieces. One that is too long
    is cut off."""
    number, begun = 1, b""
    for piece in content:
        *whole, begun = (begun + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield number, line
            number += 1
        begun = begun[: MOST_LINE_BYTES + 1]
    if begun.strip():
        yield number, begun


def _read_line(raw: bytes, endpoint: str) -> BatchRequest:
    if len(raw) > MOST_LINE_BYTES:
        raise RequestError(f"this line has more than {MOST_LINE_BYTES} bytes", param="body")
    try:
        request = msgspec.json.decode(raw, type=BatchRequest)
    except msgspec.ValidationError as ex:
        fault = ValidationFault.parse(str(ex))
        raise RequestError(str(ex), param=fault.field or "body") from ex
    except (msgspec.DecodeError, UnicodeError, RecursionError) as ex:
        raise RequestError(f"this line is not JSON: {ex}") from ex
    if request.url != endpoint:
        raise RequestError(f"url: it differs from the batch's endpoint {endpoint}", param="url")
    if request.body.get("stream") or request.body.get("background"):
        raise RequestError("stream and background have no use in a batch", param="body")
    return request
