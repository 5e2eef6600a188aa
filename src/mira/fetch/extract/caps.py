"""Cuts down what no honest page holds, before a parser sees it: tags of thousands of attributes, and scripts.

Parsers compare each attribute with all others of its tag, so a page of one tag could keep them busy for minutes.
"""

import re

MAX_ATTRIBUTES = 256
MAX_TAG_CHARS = 64 * 1024

_ATTRIBUTE = r"(?:[\s/]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^\s>\"'][^\s>]*+)?|[^\s/>=]++)"
_MARKUP = re.compile(
    # Scripts of data are kept: JSON-LD and the state of Next.js tell about the page.
    r"<(?P<raw>script|style)\b(?P<head>[^>]{0,2000}+)>[^<]*+(?:<(?!/(?P=raw)\s*>)[^<]*+)*+(?:</(?P=raw)\s*>|\Z)"
    r"|<!--[^-]*+(?:-(?!->)[^-]*+)*+(?:-->|\Z)"
    # Nobody needs these, and the parser would stop at those that stand in the middle of a page.
    r"|</(?:body|html)\s*>"
    rf"|<(?P<tag>[a-z][^\s/>]*+)(?P<attributes>{_ATTRIBUTE}*+)>?",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\s/>=\"']++(?:\s*=\s*(?:\"[^\"]*+\"?|'[^']*+'?|[^\s>]*+))?")
_DATA_SCRIPT = re.compile(r"ld\+json|__NEXT_DATA__", re.IGNORECASE)
#: No tag shorter than this can hold too many attributes.
_SHORT = 2 * MAX_ATTRIBUTES
# Control characters that markup cannot hold; some make parsers stop.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")


def cut_down(html: str) -> str:
    """The page without scripts, styles and comments; a tag that is too large has lost its attributes."""
    return _MARKUP.sub(_kept, _CONTROL.sub("", html))


def _kept(found: re.Match[str]) -> str:
    if found["tag"] is None:
        if found["raw"] is not None and _DATA_SCRIPT.search(found["head"]):
            return found[0]
        return ""
    text = found[0]
    if len(text) < _SHORT:
        return text
    if len(text) > MAX_TAG_CHARS or sum(1 for _ in _NAME.finditer(found["attributes"])) > MAX_ATTRIBUTES:
        return f"<{found['tag'][:64]}>"
    return text
