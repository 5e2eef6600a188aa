"""Sections that fit a question: found by words and headings, told in the order of the text."""

from mira.fetch.chunks import best, sections, terms
from mira.fetch.extract.shapes import HEADING_MARK

TEXT = """Intro without a heading.

# Rivers

Water flows downhill.

## The Nile

The Nile is long. Crocodiles live in it.

```
# not a heading: crocodile code
```

## The Rhine

Castles stand beside it.

# Mountains

Snow lies on them. 山に雪がある。
"""


def test_sections_begin_at_headings_and_know_those_above() -> None:
    found = sections(TEXT)
    assert [section.headings for section in found] == [
        (),
        ("Rivers",),
        ("Rivers", "The Nile"),
        ("Rivers", "The Rhine"),
        ("Mountains",),
    ]
    assert "crocodile code" in found[2].text


def test_the_best_sections_come_in_the_order_of_the_text() -> None:
    found = best(TEXT, "castles and crocodiles", 2)
    assert [section.headings[-1] for section in found] == ["The Nile", "The Rhine"]
    assert all(section.score > 0 for section in found)
    assert [section.headings[-1] for section in best(TEXT, "castle", 5)] == ["The Rhine"]


def test_words_of_a_heading_count_for_its_section() -> None:
    assert best(TEXT, "nile", 1)[0].headings[-1] == "The Nile"


def test_a_question_that_fits_nothing_finds_nothing() -> None:
    assert best(TEXT, "submarine", 5) == []
    assert best("", "river", 5) == []
    assert best(TEXT, "", 5) == []


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert terms("山に雪") == ["山", "に", "雪"]
    assert best(TEXT, "雪", 1)[0].headings == ("Mountains",)


def test_plain_text_has_sections_by_marked_headings() -> None:
    text = f"Intro\n{HEADING_MARK}1Rivers\nWater.\n{HEADING_MARK}2The Rhine\nCastles # here.\n"
    assert [section.headings for section in sections(text)] == [(), ("Rivers",), ("Rivers", "The Rhine")]
    assert best(text, "castle", 3)[0].text == "The Rhine\nCastles # here."


def test_a_text_without_paragraphs_is_told_in_parts_of_its_lines() -> None:
    lines = [f"{n} " + "word " * 20 for n in range(200)]
    found = sections("\n".join(lines))
    assert "\n".join(section.text for section in found).split("\n") == lines
    assert max(len(section.text) for section in found) <= 2500
    table = "\n".join(["| a |", "| - |", *("| " + "x" * 50 + " |" for _ in range(100))])
    assert len(sections(table)) == 1


def test_a_long_section_is_told_in_parts() -> None:
    long = "# Long\n\n" + "\n\n".join(f"Paragraph {n} of many words. " * 20 for n in range(30))
    found = sections(long)
    assert len(found) > 3
    assert "\n\n".join(section.text for section in found) == long.strip("\n")
