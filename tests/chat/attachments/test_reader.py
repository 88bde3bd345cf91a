"""Files of every kind, read in the real process: what is in them, and what hostile ones cost."""

import io
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.chat.attachments.documents import MOST_PAGES
from appliance.chat.attachments.html_text import html_text
from appliance.chat.attachments.kinds import WrongKind, kind_of
from appliance.chat.attachments.protocol import MOST_CHARACTERS
from appliance.chat.attachments.reader import FileReader
from appliance.chat.attachments.reader_process import read_file
from appliance.chat.attachments.texts import decode
from appliance.config import paths
from appliance.errors import RequestError
from tests.worker import llama_sources, source_archive

SPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@pytest.fixture(scope="module")
def reader() -> FileReader:
    return FileReader(paths.file_reader_command(), processor_seconds=5)


def docx(*paragraphs: str, body: str = "", **parts: bytes) -> bytes:
    """A document."""
    written = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{SPACE}"><w:body>{written}{body}</w:body></w:document>',
        )
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


def pdf(*pages: str, kids: str | None = None, extra: str = "") -> bytes:
    """A document with these texts. `kids`: the pages' tree says this instead."""
    font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    numbers = [4 + 2 * at for at in range(len(pages))]
    tree = kids or " ".join(f"{number} 0 R" for number in numbers)
    objects = {
        1: "<</Type/Catalog/Pages 2 0 R>>",
        2: f"<</Type/Pages/Count {len(pages)}/Kids[{tree}]>>",
        3: font,
    }
    for number, text in zip(numbers, pages, strict=True):
        shown = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET"
        objects[number] = (
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]"
            f"/Resources<</Font<</F1 3 0 R>>>>/Contents {number + 1} 0 R>>"
        )
        objects[number + 1] = f"<</Length {len(shown)}>>stream\n{shown}\nendstream"
    body, places = b"%PDF-1.4\n", {}
    for number, text in objects.items():
        places[number] = len(body)
        body += f"{number} 0 obj{text}endobj\n".encode()
    table = "".join(f"{places[number]:010} 00000 n \n" for number in sorted(places))
    size = len(objects) + 1
    return (
        body
        + (
            f"xref\n0 {size}\n0000000000 65535 f \n{table}"
            f"trailer<</Size {size}/Root 1 0 R{extra}>>\n"
            f"startxref\n{len(body)}\n%%EOF"
        ).encode()
    )


# -- what people have -----------------------------------------------------------------------------


def test_a_pdf_that_somebody_else_made(reader: FileReader, tmp_path: Path) -> None:
    archive = llama_sources.archive()
    inside = "/vendor/llama.cpp/tools/ui/tests/stories/fixtures/assets/example.pdf"
    found = reader.read("example.pdf", source_archive.content(archive, inside))
    assert (found.kind, found.pages) == ("pdf", 3)
    assert found.text.startswith("[Page 1]\n") and "\n[Page 3]\n" in found.text
    assert "Each good paper concludes the most significant\nfindings in the end." in found.text
    assert found.characters == len(found.text)


def test_a_pdf_of_debian(reader: FileReader) -> None:
    file = Path("/usr/share/doc/shared-mime-info/shared-mime-info-spec.pdf")
    if not file.is_file() or not shutil.which("dpkg"):
        pytest.skip("Debian's package `shared-mime-info` is missing")
    assert "MIME" in reader.read(file.name, file.read_bytes()).text


def test_a_document_with_its_structure(reader: FileReader) -> None:
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    row = "<w:tr>{}{}</w:tr>"
    table = f"<w:tbl>{row.format(cell.format('A'), cell.format('B'))}"
    table += f"{row.format(cell.format('1'), cell.format('2'))}</w:tbl>"
    found = reader.read("a.docx", docx("First", "Größe &amp; more", body=table))
    assert found.kind == "docx"
    assert found.text == "First\n\nGröße & more\n\n| A | B |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße aus München; schön hier, und die Straßen sind großartig.", "latin-1"),
        ("Zażółć gęślą jaźń, a potem jeszcze raz zażółć gęślą jaźń po polsku.", "cp1250"),
        ("Это русский текст для проверки кодировки, достаточно длинный.", "cp1251"),
        ("Это русский текст для проверки кодировки, достаточно длинный.", "koi8-r"),
        ("これは日本語の文章です。文字コードの判定を試します。", "shift_jis"),
        ("これは日本語の文章です。文字コードの判定を試します。", "euc_jp"),
        ("这是一个用来测试编码检测的中文句子,它需要有足够的长度。", "gb18030"),
        ("plain text in sixteen bits", "utf-16-le"),
        ("plain text in sixteen bits", "utf-16-be"),
        ("日本語 with a mark", "utf-16"),
        ("日本語 with a mark", "utf-32"),
        ("Ω and an emoji 🦙", "utf-8-sig"),
        ("Ω and an emoji 🦙", "utf-8"),
    ],
)
def test_text_of_any_encoding(text: str, encoding: str) -> None:
    data = f"{text}\r\n{text}\r".encode(encoding)
    assert decode(data) == f"{text}\n{text}\n"


def test_a_page_names_its_encoding() -> None:
    page = "<html><meta charset=iso-8859-2><body><p>Žluťoučký</p>".encode("iso-8859-2")
    assert html_text(decode(page, is_html=True)) == "Žluťoučký"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<h2>Title</h2><p>One\n <b>two</b>  three.<p>Four", "## Title\n\nOne two three.\n\nFour"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n- c"),
        ("<ol><li>a<li>b</ol>after", "1. a\n2. b\n\nafter"),
        ("<table><tr><th>A<th>B<tr><td>1<td>2</table>", "| A | B |\n| --- | --- |\n| 1 | 2 |"),
        ("<table><tr><td><p>a</p><p>b</p></td></tr></table>", "| ab |\n| --- |"),
        ("<pre>x\n  y</pre>", "```\nx\n  y\n```"),
        ("a<script>no</script><style>no</style><br>b<!-- no -->", "a\nb"),
        ("<head><title>no</title><body>yes", "yes"),
        ("&lt;b&gt; &amp;nbsp; &#x1f999;", "<b> &nbsp; 🦙"),
        ("<img alt='A cat' src=x> <a href=y>link</a>", "A cat link"),
    ],
)
def test_the_text_of_a_page(source: str, text: str) -> None:
    assert html_text(source) == text


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xd8\xff\xe0..", "image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image"),
        (b"\0\0\0\x18ftypheic", "image"),
        (b"\0\0\0\x18ftypmp42", "sound or video"),
        (b"ID3\x04\0\0", "sound or video"),
        (b"\x7fELF\2\1\1\0", "a program"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old office program"),
        (b"{\\rtf1 hello}", "rich text"),
        (b"PK\x03\x04 and no more", "damaged"),
        (docx("x").replace(b"word/document.xml", b"xl/workbookxx.xml"), "spreadsheet"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, what: str) -> None:
    with pytest.raises(WrongKind, match=what):
        kind_of(data)


@pytest.mark.parametrize("text", ["MZ is a country code", "ID3 and BM are tags", "BMW", "%PD"])
def test_a_text_may_begin_like_something_else(text: str) -> None:
    assert kind_of(text.encode()) == "text"


# -- what hostile people have ---------------------------------------------------------------------


def entities() -> bytes:
    """A document of a billion laughs."""
    document = f'<w:document xmlns:w="{SPACE}"><w:body>&l9;</w:body></w:document>'
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        text = f'<!DOCTYPE d [<!ENTITY l0 "ha">{laughs}]>{document}'
        archive.writestr("word/document.xml", text)
    return made.getvalue()


def bomb() -> bytes:
    """300 MB in 300 kB."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(300):
            part.write(b" " * 1_000_000)
    return made.getvalue()


def lying_bomb() -> bytes:
    """The same, whose directory says that it has a hundred bytes."""
    data = bytearray(bomb())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    return bytes(data)


HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("laughs.docx", entities, "declarations that no office program writes"),
    ("bomb.docx", bomb, "more than 256 MB"),
    ("lying.docx", lying_bomb, "damaged|takes more than|without any text"),
    ("deep.docx", lambda: docx(body="<w:sdt><w:sdtContent>" * 20_000), "damaged|nested too deep"),
    ("cut.docx", lambda: docx("x" * 500)[:-40], "damaged"),
    ("half.pdf", lambda: pdf("Hello")[:200], "a damaged PDF|without text"),
    ("empty.pdf", lambda: pdf(""), "a PDF without text"),
    ("many.pdf", lambda: pdf("x").replace(b"/Count 1", b"/Count 1000000"), "1000000 pages"),
    (
        "locked.pdf",
        lambda: pdf("x", extra="/Encrypt<</Filter/Standard/V 1/R 2/O(x)/U(y)/P 0>>/ID[(a)(a)]"),
        "password|damaged",
    ),
]


@pytest.mark.parametrize(("name", "make", "words"), HOSTILE, ids=[it[0] for it in HOSTILE])
def test_a_hostile_file_is_refused_by_its_name(
    reader: FileReader, name: str, make: Callable[[], bytes], words: str
) -> None:
    with pytest.raises(RequestError, match=rf"^{name} .*({words})") as refused:
        reader.read(name, make())
    assert refused.value.param == "file"


def test_a_loop_of_pages_ends(reader: FileReader) -> None:
    looped = reader.read("loop.pdf", pdf("Hello", kids="2 0 R 4 0 R"))
    assert looped.characters < 200


def test_one_that_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    hasty = FileReader(paths.file_reader_command(), processor_seconds=1)
    with pytest.raises(RequestError, match=r"^slow\.docx takes more than 1 s of a processor"):
        hasty.read("slow.docx", docx(*["word"] * 400_000))
    assert hasty.read("next.txt", b"fine").text == "fine"


def test_a_long_text_is_kept_as_far_as_any_context_goes() -> None:
    found = read_file("a.txt", b"x" * (MOST_CHARACTERS + 5))
    assert (len(found.text), found.characters) == (MOST_CHARACTERS, MOST_CHARACTERS + 5)  # type: ignore[union-attr]


def test_a_pdf_of_many_pages_says_so() -> None:
    assert MOST_PAGES < 1_000_000
    found = read_file("a.pdf", pdf(*(f"Page number {number}" for number in range(500))))
    assert "Page number 499" in found.text  # type: ignore[union-attr]


def every(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def test_the_program_itself_can_be_attached() -> None:
    for file in every(Path(__file__).parents[3] / "docs"):
        if file.suffix in (".md", ".svg"):
            found = read_file(file.name, file.read_bytes())
            assert found.text.strip()  # type: ignore[union-attr]
