"""The exercises as the notebooks tell them: task, answer, check and solution of each."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from momentum_lib.collection import Notebook, parse_cell

__all__ = ["Exercise", "choose", "exercises", "is_solution", "needed", "needs", "text_of"]

Cell = dict[str, Any]


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook, read from its cells.

    Attributes
    ----------
    id : str
        Notebook and number, ``"02.1"``.
    first, last : int
        Its cells in the notebook, `last` excluded; solutions not among them.
    task : str
        Markdown, from its bold number on.
    answer : str
        Code a student changes; it runs as it stands.
    check : str
        Name of the function in `momentum_lib.exercises`; empty where there is no check.
    arguments : tuple of str
        What the check is given, as Python text.
    solutions : tuple of cell
        Text and code of the solution, shared by all exercises of notebooks that tell them together.
    """

    notebook: Notebook
    id: str
    first: int
    last: int
    task: str
    answer: str
    check: str
    arguments: tuple[str, ...]
    solutions: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The check's name without ``check_``, or the id."""
        return self.check.removeprefix("check_") or self.id


def text_of(cell: Cell) -> str:
    """The source of a cell, in one piece."""
    return "".join(cell["source"])


def is_solution(cell: Cell) -> bool:
    """Whether a cell below the exercises tells a solution."""
    if cell["cell_type"] == "code":
        return "hide-cell" in cell["metadata"].get("tags", ())
    return bool(re.match(r"(\*\*|<details><summary><b>)Solutions?\b", text_of(cell)))


def exercises(notebook: Notebook) -> list[Exercise]:
    """The exercises of a notebook, in order."""
    cells = notebook.content["cells"]
    heads = [k for k, cell in enumerate(cells) if cell["cell_type"] == "markdown"]
    start = next((k for k in heads if text_of(cells[k]).startswith("## Exercises")), len(cells))
    stop = next((k for k in heads if k > start and text_of(cells[k]).startswith("## ")), len(cells))
    begins = [k for k in heads if start <= k < stop and re.search(r"^\*\*\d+\.", text_of(cells[k]), re.M)]
    last = [k for k in range(start, stop) if is_solution(cells[k])]
    found = []
    for first, after in zip(begins, [*begins[1:], stop], strict=True):
        own = [k for k in range(first, after) if k in last]
        end = own[0] if own else after
        task = re.split(r"^(?=\*\*\d+\.)", text_of(cells[first]), flags=re.MULTILINE)[-1].strip()
        number = re.match(r"\*\*(\d+)", task)
        assert number is not None  # by the split
        answer, check, arguments = _parts([text_of(cells[k]) for k in range(first + 1, end)])
        found.append(Exercise(notebook, f"{notebook.number}.{number[1]}", first, end, task, answer, check,
                              arguments, tuple(cells[k] for k in own)))  # fmt: skip
    if found and not any(exercise.solutions for exercise in found[:-1]):  # told together, at the end
        together = tuple(cells[k] for k in last)
        found = [Exercise(**(vars(exercise) | {"solutions": together})) for exercise in found]
    return found


def _parts(codes: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    """Answer, name of the check and its arguments, from the code cells of an exercise."""
    source = "\n".join(codes)
    for node in parse_cell(source, "an exercise").body:
        match node:
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id="exercises"), attr=check)) as call
            ):
                lines = source.splitlines()
                answer = "\n".join(lines[: node.lineno - 1] + lines[node.end_lineno :]).strip()
                return answer, check, tuple(ast.unparse(argument) for argument in call.args)
    return source.strip(), "", ()


def choose(ids: Iterable[str], known: Sequence[Exercise]) -> list[Exercise]:
    """The exercises meant by ``02.1``, or by ``02`` all that notebook 02 can check, in the order given.

    Raises
    ------
    ValueError
        There is no such exercise, or it has no check; the near ones are named.
    """
    checked = {exercise.id: exercise for exercise in known if exercise.check}
    chosen: dict[str, Exercise] = {}
    for id in ids:
        number, dot, one = id.partition(".")
        wanted = f"{number.zfill(2)}{dot}{one}"
        found = {key: e for key, e in checked.items() if wanted in (key, key.partition(".")[0])}
        if not found:
            near = [key for key in checked if key.startswith(f"{number.zfill(2)}.")]
            near = near or get_close_matches(wanted, checked, 3, 0.4) or [min(checked), max(checked)]
            why = "has no check" if wanted in {e.id for e in known} else "does not exist"
            raise ValueError(f"Exercise {id} {why}; near it are {', '.join(near)}.")
        chosen |= found
    if not chosen:
        raise ValueError("Name at least one exercise: 02.1, or 02 for all of notebook 02.")
    return list(chosen.values())


def needs(exercise: Exercise, texts: Iterable[str]) -> list[str]:
    """The statements of earlier cells that some texts need to run: imports, definitions, values.

    Imports give each the one name needed, so that what two notebooks need stands together.
    """
    cells = exercise.notebook.content["cells"][: exercise.first]
    earlier = [cell for cell in cells if "remove-cell" not in cell["metadata"].get("tags", ())]
    return needed(texts, [text_of(cell) for cell in earlier if cell["cell_type"] == "code"])


def needed(texts: Iterable[str], sources: Iterable[str]) -> list[str]:
    """The statements of some sources that some texts need, in the order they are needed."""
    bound: dict[str, str] = {}
    for source in sources:
        for node in parse_cell(source, "an earlier cell").body:
            bound.update(_bound(node, source))
    wanted, found = [name for text in texts for name in _free(text)], dict[str, None]()

    def need(name: str, seen: frozenset[str]) -> None:
        if name in bound and name not in seen:
            statement = bound[name]
            for other in _free(statement):
                need(other, seen | {name})
            found.setdefault(statement)

    for name in wanted:
        need(name, frozenset())
    return list(found)


def _bound(node: ast.stmt, source: str) -> Iterator[tuple[str, str]]:
    text = ast.get_source_segment(source, node) or ""
    match node:
        case ast.Import(names=names):
            for name in names:
                yield (name.asname or name.name).split(".")[0], ast.unparse(ast.Import([name]))
        case ast.ImportFrom(module=module, names=names, level=level):
            for name in names:
                yield name.asname or name.name, ast.unparse(ast.ImportFrom(module, [name], level))
        case ast.FunctionDef(name=called) | ast.ClassDef(name=called):
            marks = "".join(f"@{ast.unparse(mark)}\n" for mark in node.decorator_list)
            yield called, marks + text
        case ast.Assign(targets=targets):
            for target in targets:
                yield from ((n.id, text) for n in ast.walk(target) if isinstance(n, ast.Name))


def _free(text: str) -> list[str]:
    """Names a text reads and does not bind itself."""
    whole = symtable.symtable(text, "an exercise", "exec")
    tables, found = [whole], dict[str, None]()
    own = {
        symbol.get_name() for symbol in whole.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table is whole):
                found.setdefault(symbol.get_name())
    return [name for name in found if name not in own and not hasattr(builtins, name)]
