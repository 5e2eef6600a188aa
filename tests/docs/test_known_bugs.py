"""The table of known bugs is whole: every row is there, and every test that it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = 78
EXEMPTIONS = 5
THREAD = re.compile(r"[\w.-]+/[\w.-]+#\d+")
#: A row that no test can catch says so with this word and gives its reason.
NONE = "none: "


def rows() -> list[list[str]]:
    lines = (ROOT / "docs/known-bugs.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]


def defined(path: Path) -> set[str]:
    """The tests of a module, by its syntax alone."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}


def test_every_known_bug_has_its_row_with_a_thread_and_words() -> None:
    found = rows()
    assert [row[0] for row in found] == [str(number) for number in range(1, ROWS + 1)]
    for _, threads, words, _ in found:
        assert all(THREAD.fullmatch(thread) for thread in threads.split(", ")), threads
        assert words.endswith(".")


def test_every_row_names_tests_that_exist() -> None:
    exempt = []
    for number, _, _, tests in rows():
        if tests.startswith(NONE):
            exempt.append(number)
            assert len(tests) > len(NONE) + 20, f"row {number} gives no reason"
            continue
        for test in tests.split("<br>"):
            path, _, name = test.strip("`").partition("::")
            assert name.startswith("test_"), f"row {number}: {test}"
            assert name in defined(ROOT / path), f"row {number}: {test}"
    assert len(exempt) <= EXEMPTIONS
