"""The check of docstrings: what needs one, and what counts as one."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from scripts.docstrings import LONGEST_BARE, faults, main

_TOLD = '"""It says so.\n\n一句话。\n"""\n'


def found(source: str, *, told: bool = True) -> list[tuple[int, str]]:
    """The faults of a source, whose module has a docstring of four lines unless `told` is off."""
    return list(faults((_TOLD if told else "") + textwrap.dedent(source)))


def lines(count: int) -> str:
    """A body of so many lines."""
    return "".join(f"    x = {number}\n" for number in range(count))


def test_what_is_told_in_both_languages_has_no_fault() -> None:
    source = '''
        class Door:
            """A way in.

            入口。
            """

            def open(self):
                """Open it.

                开门。
                """
    '''
    assert found(source) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("class Door: pass\n", "class Door has no docstring"),
        ("def open(): pass\n", "function open has no docstring"),
        ("async def open(): pass\n", "function open has no docstring"),
        ("if True:\n    def open(): pass\n", "function open has no docstring"),
        (
            'def open():\n    """Open it."""\n',
            "the docstring of function open does not end in a line of Chinese",
        ),
        (
            'def open():\n    """Open it.\n\n    开门\n    """\n',
            "the docstring of function open does not end in a line of Chinese",
        ),
        (
            'def open():\n    """Open it.\n\n    开门。\n\n    And so on.\n    """\n',
            "the docstring of function open does not end in a line of Chinese",
        ),
        (
            'def open():\n    """开门。"""\n',
            "the docstring of function open says nothing in English",
        ),
    ],
)
def test_each_fault_is_named_with_its_line(source: str, fault: str) -> None:
    ((line, what),) = found(source)
    assert what == fault
    assert line == (6 if source.startswith("if") else 5)


def test_a_module_needs_a_docstring_too() -> None:
    assert found("x = 1\n", told=False) == [(1, "the module has no docstring")]


def test_a_method_of_a_public_class_is_public_and_one_of_a_private_class_is_not() -> None:
    assert [what for _, what in found("class Door:\n    def open(self): pass\n")] == [
        "class Door has no docstring",
        "function open has no docstring",
    ]
    assert found("class _Door:\n    def open(self): pass\n") == []


@pytest.mark.parametrize("named", ["def _long():\n", "def __init__():\n"])
def test_a_private_function_needs_one_from_eleven_lines_on(named: str) -> None:
    # The line of its name counts.
    assert found(named + lines(LONGEST_BARE - 1)) == []
    exempt = "__init__" in named
    assert bool(found(named + lines(LONGEST_BARE))) is not exempt


def test_the_docstring_itself_does_not_make_a_function_long() -> None:
    english = '    """It says so,\n    in two lines."""\n'
    assert found("def _short():\n" + english + lines(LONGEST_BARE - 1)) == []


def test_overloads_and_setters_are_told_of_where_they_are_implemented() -> None:
    assert found("@typing.overload\ndef open(): ...\n") == []
    assert found("class _A:\n    pass\n@door.setter\ndef door(value): ...\n") == []


def test_faults_are_printed_with_their_file_and_fail_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "well.py").write_text(_TOLD, "utf-8")
    assert main([str(tmp_path)]) == 0
    bad = tmp_path / "bad.py"
    bad.write_text(_TOLD + "\n\ndef open(): pass\n", "utf-8")
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{bad}:7: function open has no docstring\n"
