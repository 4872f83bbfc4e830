"""Goal: no file and no function grows past what one reading can hold. Split at a noun, not in the middle."""

from pathlib import Path

import pytest

from tests.style import tree

PRODUCT_LINES_MAX = 500
RUST_LINES_MAX = 700
TEST_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 160


def lines_max(path: Path) -> int:
    if "tests" in path.parts or path.name == "tests.rs":
        return TEST_LINES_MAX
    return RUST_LINES_MAX if path.suffix == ".rs" else PRODUCT_LINES_MAX


def test_files_are_short():
    long = {
        f"{path}: {count} lines, at most {lines_max(path)}"
        for path in tree.files(".py", ".rs", ".go", ".sh")
        if (count := tree.text(path).count("\n")) > lines_max(path)
    }
    assert not long


def test_functions_are_short():
    long = {
        f"{function.place}: {function.lines} lines, at most {FUNCTION_LINES_MAX}"
        for path in tree.files(".py")
        for function in tree.functions(path)
        if function.lines > FUNCTION_LINES_MAX
    }
    assert not long


def test_lines_fit_beside_each_other():
    """But for a line that is one text: it is data, and formatters leave it whole too."""
    wide = {
        f"{path}:{number}"
        for path in tree.files(".py", ".rs", ".go", ".proto")
        if "tests" not in path.parts  # they hold data
        for number, line in enumerate(tree.text(path).splitlines(), 1)
        if len(line) > COLUMNS_MAX and not line.strip().startswith(('"', "'", 'r#"'))
    }
    assert not wide


@pytest.mark.parametrize(("lines", "found"), [(70, 0), (71, 1)])
def test_the_measure_itself_is_right(tmp_path, monkeypatch, lines, found):
    """A measure that finds nothing would pass for ever: this one must fail at 71."""
    body = "\n".join(["def long():", '    """Not counted."""', *["    x = 1"] * (lines - 1)])
    (tmp_path / "sample.py").write_text(body + "\n")
    monkeypatch.setattr(tree, "ROOT", tmp_path)
    counted = [one for one in tree.functions(Path("sample.py")) if one.lines > FUNCTION_LINES_MAX]
    assert len(counted) == found
