"""The process that reads one file, within bounds. It ends with its answer, or with the service."""

import codecs
import contextlib
import encodings.aliases
import io
import logging
import os
import sys
import zipfile

import msgspec

from appliance.chat.attachments.documents import docx_text, pdf_text
from appliance.chat.attachments.html_text import html_text
from appliance.chat.attachments.kinds import WrongKind, kind_of
from appliance.chat.attachments.protocol import (
    MEMORY_LIMIT,
    MOST_CHARACTERS,
    FileAnswer,
    ReadFile,
    ReadText,
    Unreadable,
)
from appliance.chat.attachments.texts import decode
from appliance.system.framing import frame
from appliance.system.process_setup import (
    go_first_out_of_memory,
    limit_memory,
    obey_parent_alone,
    open_no_more_files,
    take_pipes,
)

NICENESS = 5


def read_file(name: str, data: bytes) -> FileAnswer:
    """What is in a file."""
    try:
        return _read(data)
    except WrongKind as ex:
        return Unreadable(f"{name} is {ex}.")
    except RecursionError:
        return Unreadable(f"{name} is nested too deep to be read.")


def _read(data: bytes) -> ReadText:
    kind = kind_of(data)
    pages: int | None = None
    length = 0
    if kind == "pdf":
        text, length, pages = pdf_text(data)
    elif kind == "docx":
        text = docx_text(data)
    else:
        text = decode(data, is_html=kind == "html")
        if kind == "html":
            text = html_text(text)
    if not text.strip():
        raise WrongKind("without any text")
    text = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return ReadText(kind, text[:MOST_CHARACTERS], max(length, len(text)), pages)


def main() -> int:
    """Entry of the process. Returns the exit code."""
    requests, answers = take_pipes(logging.ERROR)
    obey_parent_alone()
    go_first_out_of_memory(900)
    if sys.platform != "win32":
        os.nice(NICENESS)
    request = msgspec.json.decode(requests.readline(), type=ReadFile)
    data = requests.read(request.size)
    if len(data) < request.size:
        return 1
    _import_what_reads(data)
    limit_memory(MEMORY_LIMIT)
    open_no_more_files()
    try:
        answer: FileAnswer = read_file(request.name, data)
    except MemoryError:
        limit = MEMORY_LIMIT // 2**20
        answer = Unreadable(f"{request.name} takes more than {limit} MB of memory to read.")
    answers.write(frame(msgspec.msgpack.encode(answer)))
    answers.flush()
    return 0


def _import_what_reads(data: bytes) -> None:
    """Before no more files can be opened. Libraries import some of their parts late, so they read
    something harmless."""
    try:
        kind = kind_of(data)
    except WrongKind:
        return
    if kind == "pdf":
        codecs.lookup("utf-16-le")
        read_file("", b"%PDF-1.4")
    elif kind == "docx":
        read_file("", _empty_docx())
    elif not _is_utf8(data):
        for encoding in {"idna", *encodings.aliases.aliases.values()}:
            with contextlib.suppress(LookupError):
                codecs.lookup(encoding)
        read_file("", b"gr\xfc\xdfe " * 100)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _empty_docx() -> bytes:
    made = io.BytesIO()
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(
            "word/document.xml", f'<w:document xmlns:w="{space}"><w:body/></w:document>'
        )
    return made.getvalue()
