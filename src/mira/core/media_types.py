"""What data are, judged by how they begin and never by what they are called. Pure."""

#: (offset, bytes there, media type); the first that fits decides.
MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
#: How much of a file has to be seen.
HEAD_BYTES = 4096
_RIFF = {"image/webp", "audio/wav", "video/x-msvideo"}
_OFFICE = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
#: Texts that a client may declare; everything else that is text is `text/plain`.
TEXT_TYPES = frozenset({"text/plain", "text/csv", "text/markdown", "application/json", "application/x-ndjson"})
#: Types that browsers and viewers run or resolve: never stored under their own name.
ACTIVE_TYPES = frozenset(
    {
        "image/svg+xml",
        "text/html",
        "application/xhtml+xml",
        "text/xml",
        "application/xml",
        "text/javascript",
        "application/javascript",
        "text/css",
        "application/x-shockwave-flash",
    }
)
_WORDS = {"audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mp3": "audio/mpeg", "image/jpg": "image/jpeg"}


def binary_type(head: bytes) -> str | None:
    """The media type of data that begin so, None where they are nothing that is known by its beginning."""
    for start, magic, mime_type in MAGIC:
        if head.startswith(magic, start) and (mime_type not in _RIFF or head.startswith(b"RIFF")):
            return mime_type
    if head.startswith(b"PK\x03\x04"):
        return next((mime_type for name, mime_type in _OFFICE.items() if name in head), None)
    return None


def plain(declared: str) -> str:
    """A declared media type without its parameters, in the usual spelling."""
    bare = declared.partition(";")[0].strip().lower()
    return _WORDS.get(bare, bare)


def family(mime_type: str) -> str:
    """`image`, `audio`, `video`, `text` or the whole type: within a family the content may correct the declaration."""
    if mime_type in TEXT_TYPES:
        return "text"
    kind = mime_type.partition("/")[0]
    return "media" if kind in {"audio", "video"} else kind if kind in {"image", "text"} else mime_type
