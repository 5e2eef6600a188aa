"""Word, Excel and PowerPoint files as markdown, where the extra `office` is installed."""

import io
import zipfile
from importlib.util import find_spec

from mira.fetch.extract.shapes import Extracted, Options

ENDINGS = {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
}
#: These files are archives: what they hold may be much more than was loaded.
MAX_UNPACKED_BYTES = 100 * 1024 * 1024
MAX_RATIO = 200
MAX_PARTS = 5000


class MissingError(Exception):
    """The extra is not installed."""


class TooLargeError(Exception):
    """The archive holds more than is unpacked."""


class UnreadableError(Exception):
    """The bytes are no such document."""


def convert_office(data: bytes, ending: str, options: Options) -> Extracted:
    """The document as markdown, which is its text as well, and as preformatted text in HTML; errors are those above."""
    if find_spec("markitdown") is None:
        raise MissingError
    _check_archive(data)
    from markitdown import MarkItDown, StreamInfo  # noqa: PLC0415 - an extra, 100 MB

    try:
        result = MarkItDown(enable_plugins=False).convert_stream(
            io.BytesIO(data), stream_info=StreamInfo(extension=ending)
        )
    except Exception:  # noqa: BLE001 - whatever a broken document makes its readers raise
        raise UnreadableError from None
    content = result.markdown.strip() + "\n"
    if options.format == "html":
        content = f"<pre>{content.replace('&', '&amp;').replace('<', '&lt;')}</pre>\n"
    return Extracted(content=content, format=options.format, title=result.title)


def _check_archive(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError):
        raise UnreadableError from None
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > MAX_PARTS or unpacked > MAX_UNPACKED_BYTES or unpacked > MAX_RATIO * len(data):
        raise TooLargeError
