"""Undoes the gzip or deflate coding of a body that lies in memory, in small steps and never beyond a bound."""

import asyncio
import zlib

from mira.errors import Kind, MiraError

#: What one step may make: a few milliseconds, after which the event loop may do its other work.
_STEP_BYTES = 1024 * 1024
_GZIP_WBITS = 31
_ZLIB_WBITS = 15
_RAW_WBITS = -15
_GZIP_MAGIC = b"\x1f\x8b"


async def inflated(data: bytes, coding: str, limit_bytes: int) -> bytes:
    """The plain body.

    MiraError TOO_LARGE (`response_too_large`) beyond `limit_bytes`, UPSTREAM_FAILED (`fetch_failed`) for other codings
    and for damage. What follows the end of a compressed body is left out.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity") or not data:
        if len(data) > limit_bytes:
            raise too_large()
        return data
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise MiraError(
            Kind.UPSTREAM_FAILED, "The URL's answer has a content coding that was not asked for.", code="fetch_failed"
        )
    wbits = _deflate_wbits(data) if coding == "deflate" else _GZIP_WBITS
    inner = zlib.decompressobj(wbits)
    out: list[bytes] = []
    made_bytes = 0
    try:
        while True:
            plain = inner.decompress(data, _STEP_BYTES)
            made_bytes += len(plain)
            if made_bytes > limit_bytes:
                out.clear()
                raise too_large()
            out.append(plain)
            if inner.eof:
                data = inner.unused_data
                if wbits != _GZIP_WBITS or not data.startswith(_GZIP_MAGIC):
                    return b"".join(out)
                inner = zlib.decompressobj(wbits)
            else:
                data = inner.unconsumed_tail
                if not data and not plain:
                    raise _damaged()
            await asyncio.sleep(0)
    except zlib.error:
        raise _damaged() from None


def too_large() -> MiraError:
    """The refusal of a body that is larger than it may be."""
    return MiraError(Kind.TOO_LARGE, "What the URL gives is too large.", code="response_too_large")


def _damaged() -> MiraError:
    return MiraError(Kind.UPSTREAM_FAILED, "The URL's answer is damaged or cut.", code="fetch_failed")


def _deflate_wbits(data: bytes) -> int:
    """`deflate` means zlib's format, but some servers send the raw one: the first two bytes tell."""
    zlib_header = len(data) > 1 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _ZLIB_WBITS if zlib_header else _RAW_WBITS
