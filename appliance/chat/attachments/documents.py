"""PDF and DOCX: what their libraries make of them, as text."""

import io
import zipfile
import zlib
from typing import Any

from appliance.chat.attachments.html_text import html_text
from appliance.chat.attachments.kinds import WrongKind
from appliance.chat.attachments.protocol import MOST_CHARACTERS

MOST_PAGES = 20_000
MOST_UNPACKED = 256 * 1024 * 1024
"""Bytes of all parts of a DOCX."""
_PASSWORD_ERROR = 4
"""PDFium's FPDF_ERR_PASSWORD."""


def pdf_text(data: bytes) -> tuple[str, int, int]:
    """The text of each page under its number, as much of it as is kept; how many characters and how
    many pages there are.

    Raises:
        WrongKind: it can't be read, or is nothing but pictures.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as ex:
        if getattr(ex, "err_code", None) == _PASSWORD_ERROR or "assword" in str(ex):
            raise WrongKind("a PDF that is protected by a password; save it without one") from ex
        raise WrongKind("a damaged PDF") from ex
    pages, found, length, any_text = len(document), [], 0, False
    if pages > MOST_PAGES:
        raise WrongKind(f"a PDF of {pages} pages, more than the {MOST_PAGES} that can be read")
    for number in range(pages):
        text = _page_text(document, number)
        any_text = any_text or bool(text)
        page = f"[Page {number + 1}]\n{text}\n"
        if length < MOST_CHARACTERS:
            found.append(page)
        length += len(page) + (number > 0)
    if not any_text:
        raise WrongKind("a PDF without text, as scanners make them; only text can be read")
    return "\n".join(found), length, pages


def _page_text(document: Any, number: int) -> str:
    import pypdfium2

    try:
        page = document[number]
        try:
            lines: str = page.get_textpage().get_text_bounded()
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        return "(This page is damaged.)"
    # A word that is divided at the end of a line is whole again.
    return lines.replace("\x02", "").replace("\ufffe", "").replace("\r\n", "\n").strip()


def docx_text(data: bytes) -> str:
    """The text with its headings, lists and tables.

    Raises:
        WrongKind: it can't be read.
    """
    import mammoth

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_UNPACKED:
                raise WrongKind(f"a document of more than {MOST_UNPACKED // 2**20} MB, unpacked")
            for entry in archive.infolist():
                if entry.filename.endswith((".xml", ".rels")):
                    _check_xml(archive, entry)
        made = mammoth.convert_to_html(io.BytesIO(data), convert_image=lambda _: [])
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError) as ex:
        raise WrongKind("a damaged document, or one that is protected by a password") from ex
    except RecursionError:
        raise WrongKind("a document that is nested too deep") from None
    except (WrongKind, MemoryError):
        raise
    except Exception as ex:
        raise WrongKind("a damaged document") from ex
    return html_text(made.value)


def _check_xml(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Entities can make gigabytes of a few lines. Documents have no declarations of any."""
    with archive.open(entry) as part:
        before = b""
        while chunk := part.read(1 << 20):
            if b"<!DOCTYPE" in before + chunk or b"<!ENTITY" in before + chunk:
                raise WrongKind("a document with declarations that no office program writes")
            if "\0" in chunk.decode("latin-1")[:64]:  # UTF-16, in which that would not be found
                raise WrongKind("a document in an encoding that no office program writes")
            before = chunk[-16:]
