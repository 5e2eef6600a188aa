"""Every type that a URL may give becomes text, or is refused by name."""

import base64
import io
import zipfile

import pypdfium2
import pytest

from mira.fetch.extract import office
from mira.fetch.extract.charset import decode
from mira.fetch.extract.documents import Refusing, convert
from mira.fetch.extract.shapes import Options, Source

URL = "https://example.com/files/thing"


def converted(data: bytes | str, content_type: str, **options):
    raw = data.encode() if isinstance(data, str) else data
    return convert(Source(data=raw, content_type=content_type, url=URL), Options(**options))


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("Grüße, naïve café €".encode("cp1252"), "text/html; charset=ISO-8859-1"),
        ("Grüße, naïve café €".encode("cp1252"), "text/html; charset=windows-1252"),
        ("<meta charset='windows-1252'>Grüße, naïve café €".encode("cp1252"), "text/html"),
        ("Grüße, naïve café €".encode(), "text/html"),
        ("Grüße, naïve café €".encode(), "text/html; charset=iso-8859-1"),
        ("Grüße, naïve café €".encode("utf-16"), "text/html"),
        ("Grüße, naïve café €".encode("utf-16-be"), "text/html; charset=utf-16be"),
        ("\ufeffGrüße, naïve café €".encode(), "text/html; charset=nonsense"),
    ],
)
def test_the_charset_is_found(data, content_type) -> None:
    assert decode(data, content_type).endswith("Grüße, naïve café €")


def test_japanese_is_read_by_its_own_word_and_by_a_guess() -> None:
    text = "これは日本語の文章です。毎日たくさんの人が読みます。" * 20
    assert decode(text.encode("shift_jis"), "text/html; charset=Shift_JIS") == text
    assert decode(
        b"<meta http-equiv='content-type' content='text/html; charset=euc-jp'>" + text.encode("euc_jp"), ""
    ).endswith(text)
    assert decode(text.encode("shift_jis"), "text/html") == text


def test_json_is_indented_and_fenced() -> None:
    assert (
        converted('{"a":[1,"é```"]}', "application/json").content
        == '````json\n{\n  "a": [\n    1,\n    "é```"\n  ]\n}\n````\n'
    )
    assert '"?"' in converted('{"a": "\\ud800"}', "application/json").content
    assert converted("{broken", "application/problem+json").content == "```json\n{broken\n```\n"
    assert converted("[" * 100_000, "application/json").content.startswith("```json\n[[[")


def test_text_markdown_and_code_stay_as_they_are() -> None:
    for content_type in ("text/markdown", "text/plain; charset=utf-8", "application/javascript", "text/csv", ""):
        assert converted("# A *b*\n\n<c>", content_type).content == "# A *b*\n\n<c>"


RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>News &amp; more</title><description>All</description>
<item><title>First [one]</title><link>/first</link><pubDate>Mon, 02 Mar 2026</pubDate><description>&lt;p&gt;It &lt;b&gt;rained&lt;/b&gt;&lt;/p&gt;</description></item>
<item><title>Second</title><link>javascript:alert(1)</link></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Log</title><entry><title>Entry</title>
<link rel="self" href="/self"/><link href="https://other.example/e"/><updated>2026-03-02</updated><summary>Short</summary></entry></feed>"""


@pytest.mark.parametrize(
    "content_type", ["application/rss+xml", "text/xml", "application/xml", "application/octet-stream"]
)
def test_a_feed_is_a_list_of_its_entries(content_type) -> None:
    found = converted(RSS, content_type, links="inline")
    assert found.title == "News & more"
    assert "- [First \\[one\\]](https://example.com/first) (Mon, 02 Mar 2026)\n  It rained" in found.content
    assert "- Second" in found.content
    assert "javascript" not in found.content


def test_an_atom_feed_names_the_page_of_each_entry() -> None:
    found = converted(ATOM, "application/atom+xml", links="list")
    assert "- Entry (2026-03-02)\n  Short" in found.content
    assert [link.url for link in found.links] == ["https://other.example/e"]


def test_entities_of_xml_are_not_resolved() -> None:
    declared = '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "BOOM">]>'
    found = converted(RSS.replace("<rss", declared + "<rss").replace("Second", "&x;&y;"), "application/rss+xml")
    assert "root:" not in found.content
    assert found.content.startswith("```xml\n")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 10}">' for n in range(12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [{laughs}]><rss><channel><title>&l11;</title></channel></rss>'
    assert len(converted(bomb, "text/xml").content) < 2 * len(bomb)


def pdf_of(*pages: str) -> bytes:
    """A PDF with a line of text on each page, none where it is empty."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for n, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode() + b"".join(
        f"{p:010d} 00000 n \n".encode() for p in places
    )
    return out + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()


def test_a_pdf_gives_the_text_of_the_pages_asked_for() -> None:
    data = pdf_of("Alpha page here", "Beta page here", "Gamma page here")
    assert len(pypdfium2.PdfDocument(data)) == 3
    for content_type in ("application/pdf", "application/octet-stream"):
        found = converted(data, content_type)
        assert [word in found.content for word in ("Alpha", "Beta", "Gamma")] == [True, True, True]
        assert found.warnings == []
    assert [word in converted(data, "application/pdf", pages="2-").content for word in ("Alpha", "Beta", "Gamma")] == [
        False,
        True,
        True,
    ]
    assert "Alpha" in converted(data, "application/pdf", pages="1", format="text").content


@pytest.mark.parametrize("pages", ["0", "4", "2-1", "x", "1,2", "1-2-3", ""])
def test_a_range_of_pages_that_cannot_be_read_is_named(pages) -> None:
    with pytest.raises(Refusing) as refused:
        converted(pdf_of("a", "b", "c"), "application/pdf", pages=pages)
    assert (refused.value.reason, refused.value.param) == ("bad_option", "pages")


def test_a_pdf_of_pictures_and_a_long_one_are_told() -> None:
    assert converted(pdf_of("", ""), "application/pdf").warnings == ["no_text_layer"]
    assert converted(pdf_of(*["Some words here"] * 101), "application/pdf").warnings == ["page_limit"]


def test_what_is_no_pdf_is_unreadable() -> None:
    with pytest.raises(Refusing) as refused:
        converted(b"%PDF-1.4 nothing", "application/pdf")
    assert refused.value.reason == "unreadable"


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "video/mp4", "application/zip", "application/octet-stream", "font/woff2", "image/svg+xml"],
)
def test_what_holds_no_text_is_refused(content_type) -> None:
    with pytest.raises(Refusing) as refused:
        converted(b"\x89PNG\r\n\x1a\n\x00\x00", content_type)
    assert refused.value.reason == "unsupported"


def test_raw_gives_sources_as_text_and_pictures_as_base64() -> None:
    found = converted(b"\x89PNG\r\n\x1a\n\x00\x00", "image/png", format="raw")
    assert (base64.b64decode(found.content), found.encoding) == (b"\x89PNG\r\n\x1a\n\x00\x00", "base64")
    assert converted("<p>é<script>x</script>", "text/html", format="raw").content == "<p>é<script>x</script>"
    with pytest.raises(Refusing) as refused:
        converted(b"x" * (5 * 1024 * 1024 + 1), "image/png", format="raw")
    assert refused.value.reason == "too_large"


def docx(text: str, filler: int = 0) -> bytes:
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        )
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>',
        )
        if filler:
            archive.writestr("word/filler.bin", b"\0" * filler)
    return packed.getvalue()


DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def test_an_office_document_becomes_markdown() -> None:
    pytest.importorskip("markitdown")
    assert converted(docx("Words of a letter"), DOCX).content == "Words of a letter\n"
    assert converted(docx("a &lt; b"), DOCX, format="html").content == "<pre>a &lt; b\n</pre>\n"


def test_an_archive_that_swells_is_refused_before_it_is_opened() -> None:
    pytest.importorskip("markitdown")
    with pytest.raises(Refusing) as refused:
        converted(docx("x", 30_000_000), DOCX)
    assert refused.value.reason == "too_large"
    with pytest.raises(Refusing) as refused:
        converted(b"PK no archive", DOCX)
    assert refused.value.reason == "unreadable"
    assert set(office.ENDINGS.values()) == {".docx", ".xlsx", ".pptx"}
