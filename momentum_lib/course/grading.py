"""Grading a class: each submission in a process of its own, a table, and a page for each student.

The checks run in a process that has never seen the submission (`sandbox`), with the numbers that the
student was given, whatever the file says. What became of a submission is kept in ``graded/`` under what it
hangs on, so a run that was killed is taken up by the next, and a submission that changed is graded anew.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from momentum_lib.collection import write_whole
from momentum_lib.course.numbers import OWN
from momentum_lib.course.questions import Cell, Exercise, text_of
from momentum_lib.course.sandbox import Limits, Lost, Step, graders, running
from momentum_lib.course.sheets import Assignment, check_call, given, sheet

__all__ = ["Graded", "grade"]

#: Name and content of each file that a student handed in.
Files = Sequence[tuple[str, bytes]]

#: Seconds a grader may take beyond its submission's limits before it is ended itself.
_PATIENCE: Final = 600.0


@dataclass
class Graded:
    """What became of one student's submission: verdicts by exercise, and what to know besides."""

    student: str
    right: dict[str, bool] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """One for each right exercise."""
        return sum(self.right.values())


@dataclass(frozen=True)
class _Class:
    """What every submission of a class is held against."""

    assignment: Assignment
    exercises: Sequence[Exercise]
    limits: Limits

    def numbers(self, exercise: Exercise, student: str) -> dict[str, Any]:
        """What the check of an exercise is given for a student."""
        return given(exercise, self.assignment.term, student)


def grade(
    folder: Path,
    assignment: Assignment,
    exercises: Sequence[Exercise],
    *,
    jobs: int,
    limits: Limits,
    finished: Callable[[Graded, bool], None],
) -> list[Graded]:
    """Grade what lies in ``submitted/``; write ``grades.csv`` and ``feedback/ID.html``.

    Parameters
    ----------
    folder : Path
        Written by `sheets.write`; in ``submitted/`` a folder or file a student, named by the id.
    jobs : int
        How many submissions at once.
    finished : callable
        Called with each outcome, and whether it was graded now.

    Returns
    -------
    list of Graded
        In the order of the roster.
    """
    files, strays = _submissions(folder / "submitted", assignment)
    kept = folder / "graded"
    try:
        kept.mkdir(exist_ok=True)
        (folder / "feedback").mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}).") from None
    context, asked = graders(), _Class(assignment, exercises, limits)
    code = _code_digest()

    def one(student: str) -> Graded:
        handed = [(file.name, file.read_bytes()) for file in files.get(student, ())]
        told = [code, assignment.term, [e.id for e in exercises], limits.seconds, limits.memory]
        key = hashlib.sha256(json.dumps(told).encode() + b"".join(text for _, text in handed)).hexdigest()
        memory = kept / f"{student}.json"
        with suppress(OSError, ValueError, TypeError):
            state = json.loads(memory.read_text(encoding="utf-8"))
            if state.pop("key") == key:
                outcome = Graded(**state)
                finished(outcome, False)
                return outcome
        outcome = _apart(context, asked, student, handed)
        write_whole(memory, json.dumps(asdict(outcome) | {"key": key}, ensure_ascii=False).encode())
        finished(outcome, True)
        return outcome

    with ThreadPoolExecutor(jobs) as threads:
        outcomes = list(threads.map(one, assignment.students))
    _name_alike(outcomes, exercises)
    for outcome in outcomes:
        page = _page(asked, outcome)
        write_whole(folder / "feedback" / f"{outcome.student}.html", page.encode())
    _write_table(folder / "grades.csv", asked, outcomes, strays)
    return outcomes


def _submissions(folder: Path, assignment: Assignment) -> tuple[dict[str, list[Path]], list[str]]:
    """Files by student, by folder, by their name, by what the sheet says; and those that are nobody's."""
    found: dict[str, list[Path]] = defaultdict(list)
    strays = []
    for file in sorted(folder.rglob("*.ipynb")):
        inside = file.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts):
            continue
        words = [*inside.parts[:-1], inside.stem, *re.split(r"[^\w.-]+|_", inside.stem)]
        owners = [word for word in dict.fromkeys(words) if word in assignment.students]
        if not owners and (told := _told(file).get("student")) in assignment.students:
            owners = [str(told)]
        if owners:
            found[owners[0]].append(file)
        else:
            strays.append(inside.as_posix())
    return found, strays


def _told(file: Path) -> dict[str, Any]:
    """What a sheet says of itself: term and student."""
    try:
        told = json.loads(file.read_bytes())["metadata"]["momentum"]["sheet"]
        return told if isinstance(told, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _code_digest() -> str:
    """The library that judges; other code may judge otherwise."""
    package = Path(__file__).parents[1]
    files = sorted(package.rglob("*.py")) + sorted(package.rglob("*.toml"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _apart(context: Any, asked: _Class, student: str, handed: Files) -> Graded:
    """Grade in a process of its own, which may die of what it meets."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_grade_there, args=(theirs, asked, student, handed), daemon=False)
    process.start()
    theirs.close()
    try:
        if ours.poll(asked.limits.seconds * (2 * len(asked.exercises) + 2) + _PATIENCE):
            return Graded(**json.loads(ours.recv_bytes()))
        why = "grading it took too long"
    except (EOFError, OSError):
        why = "grading it ended the grader"
    finally:
        ours.close()
        process.kill()
        process.join()
    wrong = {exercise.id: False for exercise in asked.exercises}
    return Graded(student, wrong, dict.fromkeys(wrong, why + "."), {}, [why])


def _grade_there(wire: Any, asked: _Class, student: str, handed: Files) -> None:
    wire.send_bytes(json.dumps(asdict(_graded(asked, student, handed))).encode())


def _graded(asked: _Class, student: str, handed: Files) -> Graded:
    """Run a submission, and judge each answer with the student's own numbers."""
    outcome = Graded(student, {exercise.id: False for exercise in asked.exercises})
    if not handed:
        outcome.notes.append("nothing handed in")
        return outcome
    name, content = handed[-1]
    if len(handed) > 1:
        outcome.notes.append(f"{len(handed)} files; graded is {name}")
    try:
        notebook = json.loads(content)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and text_of(cell).strip()]
        told = notebook.get("metadata", {}).get("momentum", {}).get("sheet", {})
        term, owner = str(told.get("term", "")), str(told.get("student", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        outcome.notes.append(f"{name} is not a notebook")
        return outcome
    if term and term != asked.assignment.term:
        outcome.notes.append(f"a sheet of {term}, not of {asked.assignment.term}")
        return outcome
    if owner and owner != student:
        outcome.notes.append(f"handed in on the sheet of {owner}")
    if any("momentum_lib.course" in text_of(cell) for cell in cells):
        outcome.notes.append("calls momentum_lib.course, where the answers are computed")
    _judge(asked, _steps(asked, cells, outcome), outcome)
    return outcome


def _steps(asked: _Class, cells: Sequence[Cell], outcome: Graded) -> list[Step]:
    """What the submission does, our checks in place of its own; notes the exercises it has no cells of."""
    made = sheet(asked.assignment, asked.exercises, outcome.student)["cells"]
    ours = {cell["id"]: text_of(cell).strip() for cell in made}
    places: dict[str, int] = {}
    for exercise in asked.exercises:
        name = exercise.id.replace(".", "-")
        for kind in ("check", "answer"):
            for k, cell in enumerate(cells):
                told = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") or cell.get("id")
                called = kind == "check" and f"exercises.{exercise.check}(" in text_of(cell)
                if told == f"{kind}-{name}" or (called and exercise.id not in places):
                    places.setdefault(exercise.id, k)
                    if kind == "answer":
                        outcome.answers[exercise.id] = text_of(cell)
                    elif text_of(cell).strip() != ours[f"check-{name}"] and told == f"check-{name}":
                        outcome.notes.append(f"{exercise.id}: check cell changed; ours was used")
    for exercise in asked.exercises:
        if exercise.id not in places:
            outcome.hints[exercise.id] = "its cells are missing."
            outcome.notes.append(f"{exercise.id}: cells missing")
    steps = []
    for k, cell in enumerate(cells):
        here = [exercise for exercise in asked.exercises if places.get(exercise.id) == k]
        is_check = any(f"exercises.{exercise.check}(" in text_of(cell) for exercise in here)
        if not here or not is_check:
            steps.append(Step(text_of(cell)))
        steps += [Step("", exercise.id, exercise.arguments) for exercise in here]
    return steps


def _judge(asked: _Class, steps: Sequence[Step], outcome: Graded) -> None:
    from momentum_lib import exercises as checks

    by_id = {exercise.id: exercise for exercise in asked.exercises}
    waiting = [step.asks for step in steps if step.asks]
    with running(steps, asked.limits) as wire:
        try:
            while waiting:
                message = wire.receive()
                id = waiting.pop(0)
                if message.get("asks") != id:
                    raise Lost("it wrote into the wire.")
                if "values" not in message:
                    outcome.hints[id] = str(message.get("broken"))[:400]
                else:
                    wire.wait(asked.limits.seconds)
                    values = wire.decode(message["values"])
                    numbers = asked.numbers(by_id[id], outcome.student)
                    verdict = getattr(checks, by_id[id].check)(*values, **numbers)
                    outcome.right[id], outcome.hints[id] = verdict.right, verdict.text
                    if not verdict and message.get("broken"):
                        outcome.hints[id] += f" ({str(message['broken'])[:300]})"
                wire.wait(asked.limits.seconds)
                wire.send({"go": True})
        except (Lost, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            for id in [*waiting, *(id for id in by_id if id not in outcome.hints)]:
                outcome.hints.setdefault(id, f"not reached: {error}")
            outcome.notes.append(str(error))


def _name_alike(outcomes: Sequence[Graded], exercises: Sequence[Exercise]) -> None:
    """Note who has the same lines where everybody has the same numbers, blank cells aside."""
    for exercise in exercises:
        if exercise.name in OWN:
            continue
        blank, groups = _normal(exercise.answer), defaultdict[str, list[Graded]](list)
        for outcome in outcomes:
            lines = _normal(outcome.answers.get(exercise.id, ""))
            if lines not in ("", blank):
                groups[lines].append(outcome)
        for group in groups.values():
            for outcome in group if len(group) > 1 else ():
                others = [other.student for other in group if other is not outcome]
                outcome.notes.append(f"{exercise.id}: same lines as {', '.join(others)}")


def _normal(source: str) -> str:
    """Code without comments and layout."""
    try:
        return ast.dump(ast.parse(source)) if source.strip() else ""
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


def _write_table(file: Path, asked: _Class, outcomes: Sequence[Graded], strays: Sequence[str]) -> None:
    ids = [exercise.id for exercise in asked.exercises]
    rows: list[list[Any]] = [["id", "name", "points", "of", *ids, "notes"]]
    for outcome in outcomes:
        marks = [int(outcome.right.get(id, False)) for id in ids]
        name = asked.assignment.students[outcome.student]
        rows.append([outcome.student, name, outcome.points, len(ids), *marks, "; ".join(outcome.notes)])
    rows += [[*[""] * (4 + len(ids)), f"{stray}: nobody's, by folder, name and sheet"] for stray in strays]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([[_inert(value) for value in row] for row in rows])
    write_whole(file, table.getvalue().encode())


def _inert(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


_STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
pre { background: #f4f4f4; padding: .6rem; white-space: pre-wrap; }
.right { color: #0a6b2e; } .wrong { color: #9c2a00; } section { break-inside: avoid; }
"""


def _page(asked: _Class, outcome: Graded) -> str:
    told = html.escape
    name = asked.assignment.students[outcome.student] or outcome.student
    title = f"{told(name)}: {outcome.points} of {len(asked.exercises)}"
    parts = [f"<p>Id {told(outcome.student)}, {told(asked.assignment.term)}.</p>"]
    own = [note for note in outcome.notes if "same lines" not in note]  # that is between lecturer and student
    parts += [f"<p class=wrong>{told(note)}.</p>" for note in own]
    for exercise in asked.exercises:
        right = outcome.right.get(exercise.id, False)
        mark, word = ("right", "Right") if right else ("wrong", "Not yet")
        hint = outcome.hints.get(exercise.id, "nothing to judge.")
        call = check_call(exercise, asked.numbers(exercise, outcome.student))
        answer = outcome.answers.get(exercise.id, "")
        parts.append(
            f"<section><h2>{exercise.id} <span class={mark}>{word}</span></h2><p>{told(hint)}</p>"
            f"<pre>{told(answer)}</pre><p>Checked by <code>{told(call)}</code></p></section>"
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>{''.join(parts)}</html>\n"
    )
