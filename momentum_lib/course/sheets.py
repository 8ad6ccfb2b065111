"""Sheets: chosen exercises for each student of a class, with numbers of the student's own."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from momentum_lib.course.numbers import OWN, Draw
from momentum_lib.course.questions import Cell, Exercise, needs

__all__ = [
    "SHEET",
    "Assignment",
    "as_notebook",
    "check_call",
    "given",
    "is_import",
    "markdown_cell",
    "read_roster",
    "sheet",
    "whole_folder",
]

#: What a student is handed, and hands in.
SHEET: Final = "sheet.ipynb"
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOLD: Final = "assignment.json"


@dataclass(frozen=True)
class Assignment:
    """What was handed out: which exercises, when, to whom."""

    term: str
    exercises: tuple[str, ...]
    students: Mapping[str, str]  #: name by id

    def write(self, folder: Path) -> None:
        """Keep it beside the sheets."""
        text = json.dumps(vars(self), ensure_ascii=False, indent=1, sort_keys=True)
        (folder / _TOLD).write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Assignment:
        """Read it back.

        Raises
        ------
        ValueError
            The folder holds none.
        """
        try:
            told = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
            return cls(told["term"], tuple(told["exercises"]), told["students"])
        except (OSError, ValueError, KeyError):
            raise ValueError(
                f"{folder} holds no {_TOLD}; give the folder that `momentum course sheet` has written."
            ) from None


def read_roster(file: Path) -> dict[str, str]:
    """Names by id, from a CSV with a column ``id`` and, if you like, a column ``name``.

    Raises
    ------
    ValueError
        An id is missing, double, or no name of a folder; the line is named.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            if "id" not in (rows.fieldnames or ()):
                raise ValueError(
                    f"{file.name} has no column 'id'; its first line names the columns: id,name."
                )
            students: dict[str, str] = {}
            folded: dict[str, int] = {}
            for row in rows:
                where = f"{file.name}, line {rows.line_num}"
                id = (row["id"] or "").strip()
                if not id:
                    raise ValueError(f"{where}: the id is missing; every student needs one.")
                if not _ID.fullmatch(id):
                    raise ValueError(
                        f"{where}: the id {id!r} is to name a folder; use letters a to z, digits, . _ and -."
                    )
                if id.lower() in folded:
                    raise ValueError(f"{where}: the id {id!r} stands in line {folded[id.lower()]}, too.")
                folded[id.lower()] = rows.line_num
                students[id] = (row.get("name") or "").strip()
    except OSError as error:
        raise ValueError(f"The roster {file} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ValueError(f"The roster {file.name} is not UTF-8; save it as 'CSV UTF-8'.") from None
    if not students:
        raise ValueError(f"The roster {file.name} has no student below its first line.")
    return students


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to write in that becomes `target` when all is written, and nothing before.

    Raises
    ------
    ValueError
        `target` holds something, or cannot be made.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is there already; name a new folder, or remove it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ValueError(f"{target} cannot be written ({error.strerror}); name another folder.") from None
    try:
        yield part
        part.chmod(0o777 & ~_umask())
        if target.exists():
            target.rmdir()
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def given(exercise: Exercise, term: str, student: str) -> dict[str, Any]:
    """A student's own numbers for an exercise: what its check is to be given."""
    own = OWN.get(exercise.name)
    return own.draw(Draw(f"{term} {student} {exercise.id}")) if own else {}


def sheet(assignment: Assignment, exercises: Sequence[Exercise], student: str) -> dict[str, Any]:
    """A student's notebook: the tasks, cells that already run, and the checks; metadata as nbgrader's."""
    name = assignment.students[student]
    head = f"# Sheet of {name or student}\n\nId {student}, {assignment.term}. The numbers are yours alone. "
    head += "Change what says `change me`, run the checks, read their hints. Keep the name of this file."
    cells = [markdown_cell("head", head), _code("imports", _imports(exercises))]
    for exercise in exercises:
        numbers = given(exercise, assignment.term, student)
        own = OWN.get(exercise.name)
        task, answer = exercise.task, exercise.answer
        if own:
            task, answer = own.task(task, numbers), own.answer(answer, numbers)
        cells += exercise_cells(exercise, task, answer, numbers)
    told = {"term": assignment.term, "student": student}
    return as_notebook(cells, {"momentum": {"sheet": told}})


def exercise_cells(
    exercise: Exercise, task: str, answer: str, numbers: Mapping[str, Any], *, setup: bool = True
) -> list[Cell]:
    """Task, what it builds on, answer and check, each a cell."""
    id = exercise.id.replace(".", "-")
    wholly = [answer, *exercise.arguments]
    built = [text for text in needs(exercise, ["\n".join(wholly)]) if not is_import(text)] if setup else []
    text = re.sub(r"^\*\*\d+\.", f"**{exercise.id}.", task) if setup else task
    cells = [markdown_cell(f"task-{id}", text)]
    if built:
        cells.append(_code(f"given-{id}", "\n\n\n".join(built)))
    cells.append(_code(f"answer-{id}", answer, grade=False, solution=True, locked=False))
    if exercise.check:
        call = check_call(exercise, numbers)
        cells.append(_code(f"check-{id}", call, grade=True, solution=False, locked=True, points=1))
    return cells


def check_call(exercise: Exercise, numbers: Mapping[str, Any]) -> str:
    """The call of the check, with a student's own numbers."""
    keywords = [f"{name}={value!r}" for name, value in numbers.items()]
    return f"exercises.{exercise.check}({', '.join([*exercise.arguments, *keywords])})"


def _imports(exercises: Sequence[Exercise]) -> str:
    found = {"from momentum_lib import exercises", "import numpy as np"}
    for exercise in exercises:
        found.update(filter(is_import, needs(exercise, ["\n".join([exercise.answer, *exercise.arguments])])))
        if any(isinstance(value, Fraction) for value in given(exercise, "", "").values()):
            found.add("from fractions import Fraction")
    return "\n".join(sorted(found, key=lambda line: (line.startswith("from"), "momentum" in line, line)))


def is_import(text: str) -> bool:
    """Whether a statement is an import."""
    return text.startswith(("import ", "from "))


def markdown_cell(id: str, text: str) -> Cell:
    """A cell of text."""
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(id: str, text: str, **nbgrader: Any) -> Cell:
    told = {"nbgrader": {**nbgrader, "grade_id": id, "schema_version": 3, "task": False}} if nbgrader else {}
    if nbgrader.get("grade"):
        told["nbgrader"]["cell_type"] = "code"
    return {"cell_type": "code", "execution_count": None, "id": id, "metadata": told, "outputs": [],
            "source": text.splitlines(keepends=True)}  # fmt: skip


def as_notebook(cells: Iterable[Cell], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook of these cells, for the kernel of the collection."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    language = {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"}
    told = {"kernelspec": kernel, "language_info": language, **metadata}
    return {"cells": list(cells), "metadata": told, "nbformat": 4, "nbformat_minor": 5}


def write_notebook(file: Path, notebook: Mapping[str, Any]) -> None:
    """Write a notebook as Jupyter does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    file.write_text(f"{text}\n", encoding="utf-8")


def write(target: Path, assignment: Assignment, exercises: Sequence[Exercise]) -> None:
    """Write the sheets of a class, the key, and what `momentum course grade` needs, whole or not at all."""
    with whole_folder(target) as folder:
        assignment.write(folder)
        key = []
        for student in assignment.students:
            made = sheet(assignment, exercises, student)
            write_notebook(folder / "sheets" / student / SHEET, made)
            for exercise in exercises:
                own, numbers = OWN.get(exercise.name), given(exercise, assignment.term, student)
                right = _told(own.solve(**numbers)) if own else "a function or rule, for all numbers"
                said = ", ".join(f"{name} = {_plainly(value)}" for name, value in numbers.items())
                key.append((student, exercise.id, said, right))
        with (folder / "key.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "exercise", "numbers", "right"), *key])
        (folder / "submitted").mkdir()


def _told(answer: tuple[Any, ...]) -> str:
    return ", ".join(map(_plainly, answer))


def _plainly(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_plainly, value))})"
    if callable(value) and not hasattr(value, "setting"):
        return "a function"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
