"""`/v1/files`: what batches are read from and written to."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import falcon
from falcon.media.multipart import MultipartForm

from appliance.api.dialects.openai.batches.schemas import (
    DeletedFile,
    FileList,
    FileObject,
    FilesQuery,
    UploadForm,
)
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import decode_query
from appliance.auth.keys.scopes import Caller
from appliance.errors import RequestError, StoreFull
from appliance.store.callers.batches import PIECE_BYTES, BatchBook

operation = Operations("OpenAI")

PURPOSE = "batch"
LONGEST_NAME = 255
LONGEST_FIELD = 4096
"""Bytes of a field that is no file."""
IN_MEMORY = 1024 * 1024
"""Bytes of a file that is not put on the disk before it is stored."""


class Files:
    """`/v1/files` and below"""

    def __init__(self, book: BatchBook) -> None:
        self._book = book

    @operation(
        takes=UploadForm, takes_type=falcon.MEDIA_MULTIPART, gives=FileObject, errors=(409, 507)
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Upload a file of requests, as a form with `purpose` and `file`. It is kept for 30 days,
        only for the caller that uploaded it."""
        with _kept(self._book.folder) as content:
            fields, name = _form(req, content)
            purpose = fields.get("purpose", b"").decode("utf-8", "replace")
            if purpose != PURPOSE:
                raise RequestError(f"purpose: only {PURPOSE!r} is supported", param="purpose")
            if name is None:
                raise RequestError("file is missing", param="file")
            size = content.tell()
            if not size:
                raise RequestError("file: it is empty", param="file")
            content.seek(0)
            pieces = iter(partial(content.read, PIECE_BYTES), b"")
            resp.media = FileObject.of(
                self._book.add_file(_owner(req), name, purpose, pieces, size)
            )

    @operation(gives=FileList, query=FilesQuery)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The caller's files, the newest first."""
        query = decode_query(req, FilesQuery)
        files = [it for it in self._book.files(_owner(req)) if query.purpose in ("", it.purpose)]
        if query.order == "asc":
            files = files[::-1]
        page, more = page_of(files, query.after, query.limit)
        resp.media = FileList(
            data=[FileObject.of(file) for file in page],
            first_id=page[0].id if page else None,
            last_id=page[-1].id if page else None,
            has_more=more,
        )

    @operation(gives=FileObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        """A file, without its content."""
        resp.media = FileObject.of(self._book.file(_owner(req), file_id))

    @operation(gives=DeletedFile, errors=(507,))
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        """Delete a file for good. Batches that began with it go on."""
        self._book.delete_file(_owner(req), file_id)
        resp.media = DeletedFile(id=file_id)

    @operation(gives="application/octet-stream")
    def on_get_content(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        """What is in a file."""
        size = self._book.file(_owner(req), file_id).bytes
        content = self._book.content(_owner(req), file_id)
        streams.send(req, resp, streams.StoredStream(content, size))


def page_of(found: Sequence[Any], after: str, limit: int) -> tuple[Sequence[Any], bool]:
    """Those after the one with that id, and whether there are more."""
    ids = [it.id for it in found]
    begin = ids.index(after) + 1 if after in ids else 0
    return found[begin : begin + limit], begin + limit < len(found)


def _owner(req: falcon.Request) -> str:
    caller: Caller = req.context.caller
    return caller.owner


@contextmanager
def _kept(folder: Path) -> Iterator[IO[bytes]]:
    """Room for a file: on the disk if it is large.

    Raises:
        StoreFull: there is no room any more.
    """
    try:
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(folder)) as file:
            yield file
    except OSError as ex:
        raise StoreFull(f"The file can't be kept: {ex.strerror}") from ex


def _form(req: falcon.Request, content: IO[bytes]) -> tuple[dict[str, bytes], str | None]:
    """The fields of a form, and the file's name if there is one, whose content is written.

    Raises:
        falcon.HTTPUnsupportedMediaType: it is none.
        RequestError: it is not whole.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_MULTIPART:
        raise falcon.HTTPUnsupportedMediaType(description="a file comes as multipart/form-data")
    form: MultipartForm = req.get_media()
    fields: dict[str, bytes] = {}
    name = None
    for part in form:
        if part.name == "file":
            name = (part.filename or "file")[:LONGEST_NAME]
            content.seek(0)
            content.truncate()
            shutil.copyfileobj(part.stream, content, PIECE_BYTES)
        else:
            fields[part.name or ""] = part.stream.read(LONGEST_FIELD)
    return fields, name
