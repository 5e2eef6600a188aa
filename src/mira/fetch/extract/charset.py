"""The text of a page: which charset its bytes are in, by what they and their sender say."""

import codecs
import re

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_HEADER = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_META = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w.:-]+)",
    re.IGNORECASE,
)
#: What browsers read in place of what is written, by https://encoding.spec.whatwg.org.
_READ_AS = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
}
_HEAD_BYTES = 4096
_SAMPLE_BYTES = 64 * 1024


def decode(data: bytes, content_type: str) -> str:
    """The text: by byte order mark, then as UTF-8 if it is that, by the header, by the page's own word, by a guess.

    Valid UTF-8 that is not plain ASCII comes before what the header says, since chance hardly makes it.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    named = _HEADER.search(content_type)
    told = _codec(named[1]) if named else None
    if told is None or not told.startswith("utf-16"):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            # ISO-2022-JP and its like are ASCII with escapes.
            if "\x1b" not in text[:_SAMPLE_BYTES]:
                return text
    found = _META.search(data[:_HEAD_BYTES])
    written = _codec((found[1] or found[2]).decode("ascii", "replace")) if found else None
    if written is not None and written.startswith("utf-16"):
        # A page in UTF-16 could not have been read so far.
        written = "utf-8"
    for known in (told, written):
        if known is not None:
            text = data.decode(known, "replace")
            if text.count("\ufffd") * 200 <= len(text):
                return text
    return data.decode(_guess(data), "replace")


def _codec(name: str) -> str | None:
    try:
        known = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # Codecs that are no charsets (hex, zlib) would not give text.
    if not getattr(known, "_is_text_encoding", True):
        return None
    return _READ_AS.get(known.name, known.name)


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - needed by few pages

    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    return best.encoding if best is not None else "utf-8"
