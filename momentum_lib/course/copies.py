"""Copies of the notebooks: a student's, in which solutions are gone, and an instructor's, which has more."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from momentum_lib.collection import Notebook, output_texts
from momentum_lib.course import plans
from momentum_lib.course.bank import bank
from momentum_lib.course.questions import Cell, Exercise, exercises, is_solution, needed, text_of
from momentum_lib.course.sheets import (
    as_notebook,
    exercise_cells,
    is_import,
    markdown_cell,
    whole_folder,
    write_notebook,
)

__all__ = ["instructor", "nbgrader_source", "student", "write_instructor", "write_student"]

#: So that the copies find themselves, as the collection does.
_PROJECT: Final = (
    "[tool.momentum]\n# This folder holds copies of notebooks; `momentum reproduce` may run them.\n"
)
_CONFIG: Final = '''"""nbgrader: an answer is what a student wrote; there is nothing to clear in it."""

c = get_config()  # noqa: F821 - by nbgrader
c.CourseDirectory.course_id = "momentum"
c.ClearSolutions.enabled = False
'''


def student(notebook: Notebook) -> dict[str, Any]:
    """A notebook with its solutions gone: text, code and output. What is answered in runs as it stands."""
    return _copy(notebook, _asked)


def nbgrader_source(notebook: Notebook) -> dict[str, Any]:
    """A student's copy in which a check that says no stops its cell: so nbgrader validates and grades."""
    made = student(notebook)
    for cell in made["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell["source"] = [f"verdict = {text_of(cell)}\n", "assert verdict, verdict.text"]
    return made


def instructor(notebook: Notebook) -> dict[str, Any]:
    """A notebook with solutions unfolded, what they give, common misreadings, and plans for a lecture."""
    *most, last = exercises(notebook)
    together = [exercise for exercise in most if exercise.solutions == last.solutions]  # told after the last

    def tell(exercise: Exercise) -> Iterator[Cell]:
        return _told(exercise, () if exercise in together else exercise.solutions)

    made = _copy(notebook, tell)
    made["cells"].insert(1, markdown_cell("plans", plans.as_markdown(notebook)))
    return made


def _copy(notebook: Notebook, tell: Any) -> dict[str, Any]:
    cells = notebook.content["cells"]
    asked = {exercise.first: exercise for exercise in exercises(notebook)}
    made: list[Cell] = []
    last = 0
    for number, cell in enumerate(cells):
        if number in asked:
            head = re.split(r"^\*\*\d+\.", text_of(cell), flags=re.MULTILINE)[0].strip()
            if head:
                made.append(markdown_cell(f"head-{number}", head))
            made += tell(asked[number])
            last = asked[number].last
        if number >= last and not (asked and number > min(asked) and is_solution(cell)):
            made.append(copy.deepcopy(cell))
    told = notebook.content["metadata"]
    return as_notebook(made, {"momentum": told["momentum"]} if "momentum" in told else {})


def _asked(exercise: Exercise) -> list[Cell]:
    return exercise_cells(exercise, exercise.task, exercise.answer, {}, setup=False)


def _told(exercise: Exercise, solutions: Sequence[Cell]) -> Iterator[Cell]:
    yield from _asked(exercise)
    for cell in solutions:
        shown = copy.deepcopy(cell)
        shown["metadata"] = {}
        if shown["cell_type"] == "markdown":
            text = re.sub(r"</?details>|</?summary>|</?b>", "", text_of(shown)).strip()
            shown["source"] = [
                re.sub(r"\*?\*?(Solutions?)\*?\*?( \(unfold[^)]*\))?", r"**\1**", text, count=1)
            ]
        yield shown
    told = [text.strip() for cell in solutions for text in output_texts(cell)]
    expected = "\n".join(told) or "nothing is printed; the check says Right."
    id = exercise.id.replace(".", "-")
    if solutions:
        yield markdown_cell(f"expected-{id}", f"**Expected**\n\n```text\n{expected}\n```")
    if exercise.check:
        yield markdown_cell(f"misread-{id}", _misreadings(exercise))


def _misreadings(exercise: Exercise) -> str:
    """The wrong answers of the bank, each with what its hint says it confuses; and the right ones besides."""
    answers = bank()[exercise.name]
    lines = ["**Common misreadings**", "", "| answer | what it gets |", "|---|---|"]
    lines += [f"| {_code(text)} | {_cell(answers.verdict(text).text)} |" for text, _ in answers.wrong]
    lines += ["", f"Right as well: {', '.join(map(_code, answers.right))}."]
    texts = [*answers.right, *(text for text, _ in answers.wrong)]
    built = [text for text in needed(texts, [answers.given]) if not is_import(text)]
    if built:
        code = "\n\n\n".join(built)
        lines += ["", "Names above are these:", "", f"```python\n{code}\n```"]
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_student(root: Path, known: Sequence[Notebook], target: Path) -> None:
    """Write the students' copies, with what they need to run beside them, whole or not at all."""
    with whole_folder(target) as folder:
        _beside(root, folder)
        for notebook in known:
            write_notebook(folder / "notebooks" / notebook.path.name, student(notebook))


def write_instructor(root: Path, known: Sequence[Notebook], target: Path) -> None:
    """Write the instructor's copies, all plans on a page, project ideas, and a source for nbgrader."""
    with whole_folder(target) as folder:
        _beside(root, folder)
        pages = ["# Plans"]
        for notebook in known:
            write_notebook(folder / "notebooks" / notebook.path.name, instructor(notebook))
            name = notebook.stem
            source = folder / "nbgrader" / "source" / name
            write_notebook(source / f"{name}.ipynb", nbgrader_source(notebook))
            if (beside := notebook.path.with_name(f"{notebook.name}.py")).is_file():
                shutil.copy(beside, source)
            pages.append(f"# {notebook.number} {notebook.title}\n\n{plans.as_markdown(notebook)}")
        (folder / "plans.md").write_text("\n\n".join(pages) + "\n", encoding="utf-8")
        (folder / "nbgrader" / "nbgrader_config.py").write_text(_CONFIG, encoding="utf-8")
        for name in ("README.md", "projects.md"):
            shutil.copy(Path(__file__).with_name(name), folder)


def _beside(root: Path, folder: Path) -> None:
    """What the notebooks load and show: the modules beside them, results of long sweeps, pictures."""
    (folder / "notebooks").mkdir()
    for file in (root / "notebooks").glob("*.py"):
        shutil.copy(file, folder / "notebooks")
    if (root / "notebooks" / "results").is_dir():
        shutil.copytree(root / "notebooks" / "results", folder / "notebooks" / "results")
    shutil.copytree(root / "figures", folder / "figures", ignore=shutil.ignore_patterns("*.svg", "*.csv"))
    (folder / "pyproject.toml").write_text(_PROJECT, encoding="utf-8")
