"""Undoes a body's gzip or deflate coding as it arrives, and refuses bombs."""

import zlib

from mira.transport.errors import TransportError

_RATIO = 100
_SLACK_BYTES = 64 * 1024
_GZIP_WBITS = 31
_ZLIB_WBITS = 15
_RAW_WBITS = -15

_CODINGS = frozenset((b"gzip", b"x-gzip", b"deflate"))


class Inflater:
    """Decodes one body; output larger than 100 times the input (and 64 KiB) is refused."""

    __slots__ = ("_coding", "_inner", "_pending", "_read_bytes", "_written_bytes")

    def __init__(self, coding: bytes) -> None:
        self._coding = coding
        self._inner = None if coding == b"deflate" else zlib.decompressobj(_GZIP_WBITS)
        self._pending = b""
        self._read_bytes = 0
        self._written_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """The plain bytes that can be had so far; TransportError("protocol") for damage, bombs and trailing bytes."""
        self._read_bytes += len(data)
        inner = self._inner
        if inner is None:
            data = self._pending + data
            if len(data) < 2:
                self._pending = data
                return b""
            inner = self._inner = zlib.decompressobj(_deflate_wbits(data))
        out: list[bytes] = []
        while data:
            if inner.eof:
                if self._coding == b"deflate":
                    raise TransportError("protocol", reached=True, detail="bytes after the compressed body")
                inner = self._inner = zlib.decompressobj(_GZIP_WBITS)
            allowed = self._read_bytes * _RATIO + _SLACK_BYTES - self._written_bytes
            try:
                plain = inner.decompress(data, allowed + 1)
            except zlib.error:
                raise TransportError("protocol", reached=True, detail="the compressed body is damaged") from None
            self._written_bytes += len(plain)
            if len(plain) > allowed:
                raise TransportError("protocol", reached=True, detail="the compressed body swells too much")
            out.append(plain)
            data = inner.unused_data if inner.eof else inner.unconsumed_tail
        return b"".join(out)

    def finish(self) -> None:
        """Check that the coded body is whole; a body of no bytes at all is."""
        if self._read_bytes and (self._inner is None or not self._inner.eof):
            raise TransportError("body", reached=True, detail="the compressed body is not whole")


def _deflate_wbits(data: bytes) -> int:
    """`deflate` means zlib's format, but some servers send the raw one: the first two bytes tell."""
    zlib_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _ZLIB_WBITS if zlib_header else _RAW_WBITS


def inflater_for(codings: list[bytes]) -> Inflater | None:
    """What undoes the answer's content coding, told by the values of its header in lower case.

    None for `identity`, TransportError("protocol") for others that were not asked for.
    """
    if codings in ([b"identity"], [b""]):
        return None
    if len(codings) != 1 or codings[0] not in _CODINGS:
        raise TransportError("protocol", reached=True, detail="a content coding that was not asked for")
    return Inflater(codings[0])
