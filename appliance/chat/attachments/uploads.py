"""Uploads of attachments: stored part by part, and read once they are whole."""

from contextlib import suppress

from appliance.chat.attachments.reader import FileReader
from appliance.errors import NotFound, RequestError
from appliance.store.callers.attachments import AttachmentBook
from appliance.store.records import Attachment


class AttachmentUploads:
    """Any thread may call."""

    def __init__(self, book: AttachmentBook, reader: FileReader) -> None:
        self.book = book
        self._reader = reader

    def begin(self, owner: str, name: str, size: int, data: bytes) -> Attachment:
        """A file, and its first part or all of it. Raises what `add` and `AttachmentBook.begin`
        do."""
        attachment = self.book.begin(owner, name, size)
        try:
            return self.add(owner, attachment.id, 0, data)
        except RequestError:
            with suppress(NotFound):
                self.book.remove(owner, attachment.id)
            raise

    def add(self, owner: str, id: str, offset: int, data: bytes) -> Attachment:
        """The next part; with the last one the file is read.

        Raises:
            RequestError: it can't be read, and is gone; the message names it.
            NotFound, Conflict: see `AttachmentBook.append`.
            Unavailable: the machine is too busy; the same part may be sent again.
        """
        self.book.append(owner, id, offset, data)
        attachment, content = self.book.uploaded(owner, id)
        if content is None:
            return attachment
        try:
            made = self._reader.read(attachment.name, content)
        except RequestError:
            self.book.remove(owner, id)
            raise
        text = (made.kind, made.text, made.characters, made.pages)
        return self.book.finish(owner, id, content, text)
