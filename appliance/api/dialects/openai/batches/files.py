"""`/v1/files`: what batches are read from and written to."""

from collections.abc import Sequence
from typing import Any

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
from appliance.api.wire.bodies import decode_query
from appliance.auth.keys.scopes import Caller
from appliance.errors import RequestError
from appliance.store.callers.batches import BatchBook

operation = Operations("OpenAI")

PURPOSE = "batch"
LONGEST_NAME = 255


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
        fields, name = _form(req)
        purpose = fields.get("purpose", b"").decode("utf-8", "replace")
        if purpose != PURPOSE:
            raise RequestError(f"purpose: only {PURPOSE!r} is supported", param="purpose")
        if "file" not in fields:
            raise RequestError("file is missing", param="file")
        if not fields["file"]:
            raise RequestError("file: it is empty", param="file")
        file = self._book.add_file(_owner(req), name, purpose, fields["file"])
        resp.media = FileObject.of(file)

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
        resp.content_type = "application/octet-stream"
        resp.data = self._book.content(_owner(req), file_id)


def page_of(found: Sequence[Any], after: str, limit: int) -> tuple[Sequence[Any], bool]:
    """Those after the one with that id, and whether there are more."""
    ids = [it.id for it in found]
    begin = ids.index(after) + 1 if after in ids else 0
    return found[begin : begin + limit], begin + limit < len(found)


def _owner(req: falcon.Request) -> str:
    caller: Caller = req.context.caller
    return caller.owner


def _form(req: falcon.Request) -> tuple[dict[str, bytes], str]:
    """The fields of a form, and the file's name.

    Raises:
        falcon.HTTPUnsupportedMediaType: it is none.
        RequestError: it is not whole.
    """
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_MULTIPART:
        raise falcon.HTTPUnsupportedMediaType(description="a file comes as multipart/form-data")
    form: MultipartForm = req.get_media()
    fields: dict[str, bytes] = {}
    name = "file"
    for part in form:
        key = part.name or ""
        if key == "file":
            name = (part.filename or name)[:LONGEST_NAME]
        fields[key] = part.stream.read()
    return fields, name
