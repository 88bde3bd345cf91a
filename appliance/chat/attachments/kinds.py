"""What a file is, by its first bytes: its name can say anything. Pure."""

import codecs
import io
import re
import zipfile
import zlib

from appliance.chat.attachments.protocol import FileKind

_HEAD = 4096
"""Bytes that are looked at."""
_PDF_WITHIN = 1024
"""A PDF may have something else before its header."""

IMAGE = "an image, and images can't be attached yet"
_SHEET = "a spreadsheet; save it as CSV"
_OLD_OFFICE = "a document of an old office program; save it as DOCX, PDF or text"
_OTHER_OFFICE = "an OpenDocument file; save it as DOCX, PDF or text"
_ARCHIVE = "an archive; attach the files in it"
_SOUND = "sound or video, which can't be attached"
_PROGRAM = "a program"

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", IMAGE),
    (b"\xff\xd8\xff", IMAGE),
    (b"GIF87a", IMAGE),
    (b"GIF89a", IMAGE),
    (b"BM", IMAGE),
    (b"II*\0", IMAGE),
    (b"MM\0*", IMAGE),
    (b"\0\0\1\0", IMAGE),
    (b"8BPS", IMAGE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLD_OFFICE),
    (b"{\\rtf", "a rich text file; save it as DOCX, PDF or text"),
    (b"\x1f\x8b", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"ID3", _SOUND),
    (b"OggS", _SOUND),
    (b"fLaC", _SOUND),
    (b"\x1a\x45\xdf\xa3", _SOUND),
    (b"\x7fELF", _PROGRAM),
    (b"MZ", _PROGRAM),
    (b"\xca\xfe\xba\xbe", _PROGRAM),
    (b"\xcf\xfa\xed\xfe", _PROGRAM),
    (b"GGUF", "a model; put it into the folder of models"),
    (b"SQLite format 3\0", "a database"),
)
_RIFF = {b"WEBP": IMAGE, b"WAVE": _SOUND, b"AVI ": _SOUND}
_PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"avif", b"avis")
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)


class WrongKind(ValueError):
    """It is nothing that can be read; the message says what it is."""


def kind_of(data: bytes) -> FileKind:
    """What kind of file it is.

    Raises:
        WrongKind: none that can be read.
    """
    head = data[:_HEAD]
    if b"%PDF-" in head[:_PDF_WITHIN]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(data)
    plain = _text_so_far(head)
    for start, what in _STARTS:
        # Two or three letters may begin a text as well.
        if head.startswith(start) and not (plain and len(start) < 4 and start.isascii()):
            raise WrongKind(what)
    if head.startswith(b"RIFF") and head[8:12] in _RIFF:
        raise WrongKind(_RIFF[head[8:12]])
    if head[4:8] == b"ftyp":
        raise WrongKind(IMAGE if head[8:12] in _PICTURE_BRANDS else _SOUND)
    if head.startswith(codecs.BOM_UTF8):
        head = head[len(codecs.BOM_UTF8) :]
    return "html" if _HTML.match(head) else "text"


def _text_so_far(head: bytes) -> bool:
    return head.startswith(_BOMS) or not any(byte < 9 or 13 < byte < 27 for byte in head)


def _of_zip(data: bytes) -> FileKind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            mimetype = archive.open("mimetype").read(100) if "mimetype" in names else b""
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError) as ex:
        raise WrongKind("a damaged document or archive") from ex
    if "word/document.xml" in names:
        return "docx"
    if any(name.startswith("xl/") for name in names) or b"spreadsheet" in mimetype:
        raise WrongKind(_SHEET)
    if any(name.startswith("ppt/") for name in names):
        raise WrongKind("a presentation; save it as PDF")
    if b"opendocument" in mimetype:
        raise WrongKind(_OTHER_OFFICE)
    if b"epub" in mimetype:
        raise WrongKind("an e-book; save it as PDF or text")
    raise WrongKind(_ARCHIVE)
