"""Whether everything that needs a docstring has one that ends in a plain Chinese sentence.

Asked of every public module, class and function, and of private functions of more than ten
lines: `python -m scripts.docstrings [FOLDER …]` prints `file:line: what is missing`, one a line.

检查每个该有文档字符串的地方是否以一句中文结尾。
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDERS = ("shared", "functions", "infra", "gpu_inference", "scripts")
LONGEST_BARE = 10
"""Lines, without the docstring, up to which a private function needs none."""
_SENTENCE = re.compile(r"[\u4e00-\u9fff].*[。！？]$")
_WORDS = re.compile(r"[A-Za-z]{3}")
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Yield what is missing in a module's source as line and words, from the top down.

    Raises SyntaxError where the source is no Python.

    逐个列出源码中缺少的文档字符串。
    """
    tree = ast.parse(source)
    yield from _fault(tree, 1, "the module")
    yield from _inside(tree, public=True)


def _inside(parent: ast.AST, *, public: bool) -> Iterator[tuple[int, str]]:
    """Yield the faults of what a module, class or function holds, at every depth.

    列出内部各处的缺失。
    """
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            shown = public and not node.name.startswith("_")
            if shown:
                yield from _fault(node, node.lineno, f"class {node.name}")
            yield from _inside(node, public=shown)
        elif isinstance(node, _Function):
            if not _exempt(node) and ((public and node.name[0] != "_") or _long(node)):
                yield from _fault(node, node.lineno, f"function {node.name}")
            yield from _inside(node, public=False)
        else:
            yield from _inside(node, public=public)


def _fault(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, line: int, name: str
) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with one docstring, if anything is.

    检查一处文档字符串。
    """
    text = (ast.get_docstring(node) or "").strip()
    if not text:
        yield line, f"{name} has no docstring"
        return
    last = text.splitlines()[-1]
    if not _SENTENCE.search(last):
        yield line, f"the docstring of {name} does not end in a line of Chinese"
    elif not _WORDS.search(text[: -len(last)]):
        yield line, f"the docstring of {name} says nothing in English"


def _exempt(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    dunder = node.name.startswith("__") and node.name.endswith("__")
    marks = {ast.unparse(mark).split(".")[-1] for mark in node.decorator_list}
    return dunder or bool(marks & {"overload", "setter"})


def _long(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    told = node.body[0] if ast.get_docstring(node) is not None else None
    spent = (told.end_lineno or told.lineno) - told.lineno + 1 if told else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - spent > LONGEST_BARE


def main(folders: Sequence[str] = ()) -> int:
    """Print every fault under the folders; the exit status, 1 if there is one.

    打印所有缺失并返回状态码。
    """
    count = 0
    for folder in folders or FOLDERS:
        for path in sorted(Path(folder).rglob("*.py")):
            for line, what in faults(path.read_text("utf-8")):
                count += 1
                print(f"{path}:{line}: {what}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
