"""CSS selectors as XPath: the part of CSS that names elements of a page from outside."""

import re

from lxml import etree

from mira.fetch.extract.dom import Element, remove

MAX_SELECTORS = 32
MAX_SELECTOR_CHARS = 500
_MAX_STEPS = 16

_STEP = re.compile(
    r"(?P<tag>\*|[a-zA-Z][\w-]*)?(?P<rest>(?:[#.][\w-]+|\[[\w:-]+(?:[~^$*|]?=(?:\"[^\"\]]*\"|'[^'\]]*'|[\w-]+))?\])*)"
)
_PART = re.compile(r"#(?P<id>[\w-]+)|\.(?P<class>[\w-]+)|\[(?P<name>[\w:-]+)(?:(?P<how>[~^$*|]?=)(?P<value>[^\]]*))?\]")


class BadSelectorError(ValueError):
    """A selector that cannot be read."""


def find(body: Element, selectors: list[str]) -> list[Element]:
    """The elements that any of the selectors names, in the page's order."""
    found: set[Element] = set()
    for path in [path for selector in selectors for path in _paths(selector)]:
        found.update(element for element in body.xpath(path) if isinstance(element, etree._Element))  # noqa: SLF001
    return [element for element in body.iter() if element in found]


def keep_only(body: Element, selectors: list[str]) -> None:
    """Leaves what the selectors name, with all that is in it."""
    kept: list[Element] = []
    inside: set[Element] = set()
    for element in find(body, selectors):
        if element is body:
            return
        if element not in inside:
            kept.append(element)
            inside.update(element.iterdescendants())
    for element in kept:
        element.tail = None
    for child in list(body):
        body.remove(child)
    body.text = None
    body.extend(kept)


def drop(body: Element, selectors: list[str]) -> None:
    """Takes out what the selectors name."""
    for element in find(body, selectors):
        if element is not body:
            remove(element)


def check(selectors: list[str]) -> None:
    """BadSelectorError where one cannot be read."""
    if len(selectors) > MAX_SELECTORS:
        raise BadSelectorError
    for selector in selectors:
        _paths(selector)


def _paths(selector: str) -> list[str]:
    if len(selector) > MAX_SELECTOR_CHARS:
        raise BadSelectorError
    return [_path(part.strip()) for part in selector.split(",")]


def _path(selector: str) -> str:
    steps = re.sub(r"\s*>\s*", " >", selector).split()
    if not steps or len(steps) > _MAX_STEPS:
        raise BadSelectorError
    path = "."
    for step in steps:
        child = step.startswith(">")
        path += ("/" if child else "//") + _test(step.removeprefix(">"))
    return path


def _test(step: str) -> str:
    found = _STEP.fullmatch(step)
    if found is None or not step:
        raise BadSelectorError
    tests = "".join(f"[{_condition(part)}]" for part in _PART.finditer(found["rest"]))
    return (found["tag"] or "*").lower() + tests


def _condition(part: re.Match[str]) -> str:
    if part["id"]:
        return f"@id='{part['id']}'"
    if part["class"]:
        return _has_word("@class", part["class"])
    name = f"@*[name()='{part['name'].lower()}']"
    if part["how"] is None:
        return name
    value = part["value"].strip("\"'")
    if "'" in value or '"' in value:
        raise BadSelectorError
    match part["how"]:
        case "=":
            return f"{name}='{value}'"
        case "^=":
            return f"starts-with({name},'{value}')"
        case "*=":
            return f"contains({name},'{value}')"
        case "$=":
            return f"substring({name},string-length({name})-{len(value) - 1})='{value}'"
        case "~=":
            return _has_word(name, value)
        case _:
            return f"{name}='{value}' or starts-with({name},'{value}-')"


def _has_word(name: str, word: str) -> str:
    return f"contains(concat(' ',normalize-space({name}),' '),' {word} ')"
