"""Words of Gemini's wire format that requests and answers share."""

from mira.core.conversation import Audio, Document, Image, Inline

#: This protocol's name beside data that only it knows.
FORMAT = "gemini"
#: Whose signatures and ciphertexts these are.
THOUGHTS = "google-gemini-v1"
#: Google's own word for a call in the history that no model of theirs made.
UNSIGNED = "skip_thought_signature_validator"


def media_of(mime_type: str, data: str) -> Image | Audio | Document:
    """Media inside a message: the MIME type alone says what they are."""
    kind, _, encoding = mime_type.partition("/")
    if kind == "audio":
        return Audio(data=data, encoding=encoding)
    source = Inline(mime_type=mime_type, data=data)
    if kind == "image":
        return Image(source=source)
    return Document(source=source, media="video" if kind == "video" else "document")


def request_path(model: str, *, stream: bool) -> str:
    """The path and query behind the base URL: this protocol names model and streaming there, not in the body."""
    # A name that brings its collection (`tunedModels/x`) is whole already.
    name = model if "/" in model else f"models/{model}"
    return f"/v1beta/{name}:streamGenerateContent?alt=sse" if stream else f"/v1beta/{name}:generateContent"
