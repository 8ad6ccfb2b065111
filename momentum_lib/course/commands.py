"""``momentum course``: what it takes, and what it says."""

from __future__ import annotations

import argparse
import os
from datetime import date
from pathlib import Path
from typing import Any

from momentum_lib.collection import Notebook, notebooks, write_page
from momentum_lib.course.questions import Exercise, choose, exercises

__all__ = ["add_to", "carry_out"]


def add_to(commands: Any) -> None:
    """Add ``course`` and what follows it to the commands of `momentum`."""
    course = commands.add_parser(
        "course", help="sheets with numbers of a student's own, their grading, lectures"
    )
    kinds = course.add_subparsers(dest="kind", required=True)
    for kind, text in (
        ("student", "the notebooks without their solutions, for students"),
        ("instructor", "the notebooks with solutions, misreadings and plans, and a source for nbgrader"),
    ):
        copies = kinds.add_parser(kind, help=text)
        copies.add_argument("out", type=Path, help="a new folder")
    for kind, text in (
        ("slides", "slides of a notebook: a claim, its picture, what to see; one file, no network"),
        ("print", "a notebook for paper: no imports, no solutions, room to write; one file, no network"),
    ):
        pages = kinds.add_parser(kind, help=text)
        pages.add_argument("id", nargs="+", help="numbers of notebooks")
        pages.add_argument("--out", type=Path, default=Path(), help="a folder (this one)")
    sheets = kinds.add_parser("sheet", help="a sheet for each student of a class, with numbers of their own")
    sheets.add_argument("id", nargs="+", help="exercises: 02.1, or 02 for all of notebook 02")
    sheets.add_argument("--roster", type=Path, required=True, help="CSV with the columns id and name")
    sheets.add_argument("--term", default=str(date.today().year), help="which year's numbers (this year's)")
    sheets.add_argument("--out", type=Path, default=Path("assignment"), help="a new folder (assignment)")
    grade = kinds.add_parser("grade", help="grade what students handed in: a table, and a page for each")
    grade.add_argument("folder", type=Path, help="the folder that `sheet` wrote, with its submitted/ filled")
    grade.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="submissions at once")
    grade.add_argument("--seconds", type=float, default=20.0, help="from one check to the next (20)")


def carry_out(options: argparse.Namespace, root: Path) -> int:
    """Do what was asked; the exit status.

    Raises
    ------
    ValueError
        What was asked cannot be done; the message names the remedy.
    """
    found = notebooks(root)
    if options.kind in ("student", "instructor"):
        from momentum_lib.course import copies

        write = copies.write_student if options.kind == "student" else copies.write_instructor
        write(root, found, options.out)
        print(f"{len(found)} notebooks: {options.out}/notebooks/")
        return 0
    if options.kind in ("slides", "print"):
        return _pages(options, root, found)
    known = [exercise for notebook in found for exercise in exercises(notebook)]
    return {"sheet": _sheet, "grade": _grade}[options.kind](options, known)


def _pages(options: argparse.Namespace, root: Path, found: list[Notebook]) -> int:
    try:
        from momentum_lib.course import lectures
    except ImportError as error:
        raise ValueError(
            f"Slides and print need {error.name}, of the extra lab: uv sync --extra lab."
        ) from None

    by_number = {notebook.number: notebook for notebook in found}
    for id in options.id:
        if id.zfill(2) not in by_number:
            raise ValueError(f"There is no notebook {id!r}; there are {', '.join(by_number)}.")
    make = lectures.slides if options.kind == "slides" else lectures.printed
    for id in options.id:
        notebook = by_number[id.zfill(2)]
        file = options.out / f"{notebook.stem}.{options.kind}.html"
        print(write_page(file, make(root, notebook), "A lecture"))
    return 0


def _sheet(options: argparse.Namespace, known: list[Exercise]) -> int:
    from momentum_lib.course import sheets
    from momentum_lib.course.numbers import OWN

    chosen = choose(options.id, known)
    assignment = sheets.Assignment(
        options.term, tuple(exercise.id for exercise in chosen), sheets.read_roster(options.roster)
    )
    sheets.write(options.out, assignment, chosen)
    alike = [exercise.id for exercise in chosen if exercise.name not in OWN]
    print(f"{len(assignment.students)} sheets of {len(chosen)} exercises: {options.out}/sheets/")
    if alike:
        print(f"The same for everybody, a function or rule for all numbers: {', '.join(alike)}")
    print(f"Right answers: {options.out}/key.csv. Put what comes back into {options.out}/submitted/, then:")
    print(f"momentum course grade {options.out}")
    return 0


def _grade(options: argparse.Namespace, known: list[Exercise]) -> int:
    try:
        from momentum_lib.course import grading, sandbox
    except ImportError as error:
        raise ValueError(
            f"Grading needs {error.name}: a system that can fork, as Linux, macOS or WSL."
        ) from None
    from momentum_lib.clock import count_of, real
    from momentum_lib.course.sheets import Assignment

    jobs, seconds = count_of("--jobs", options.jobs, 1), real("--seconds", options.seconds, above=0)
    assignment = Assignment.read(options.folder)
    chosen = choose(assignment.exercises, known)
    granted = sandbox.guards()
    print("; ".join(f"{what}: {'yes' if held else 'NOT on this system'}" for what, held in granted.items()))

    def finished(outcome: grading.Graded, now: bool) -> None:
        notes = "; ".join(outcome.notes)
        if now or notes:
            print(f"{outcome.student}: {outcome.points} of {len(chosen)}" + (f"; {notes}" if notes else ""))

    outcomes = grading.grade(
        options.folder, assignment, chosen, jobs=jobs,
        limits=sandbox.Limits(seconds), finished=finished,
    )  # fmt: skip
    print(f"{len(outcomes)} students: {options.folder}/grades.csv, {options.folder}/feedback/ID.html")
    return 0
