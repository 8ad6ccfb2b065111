"""Plans for a lecture of 30, 60 or 90 minutes: which sections and figures, and how long each takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from momentum_lib.collection import Notebook
from momentum_lib.course.questions import Cell, exercises, text_of

__all__ = ["LENGTHS", "MOST_WANTED", "Section", "as_markdown", "plan", "sections"]

LENGTHS: Final = (30, 60, 90)
#: Sections of each notebook, those first that a short lecture needs most. Our judgement; the rest is counted.
MOST_WANTED: Final[Mapping[str, tuple[int, ...]]] = {
    "00": (1, 2, 4, 3, 5),
    "01": (1, 3, 5, 6, 4, 2, 7),
    "02": (1, 2, 3, 4, 7, 5, 6),
    "03": (1, 2, 3, 6, 4, 5, 7, 8),
    "04": (1, 3, 4, 2, 5, 6),
    "05": (2, 3, 5, 4, 1),
    "06": (1, 2, 3, 4, 7, 5, 6, 8),
    "07": (1, 2, 3, 5, 7, 4, 6),
    "08": (1, 2, 3, 4, 5),
    "09": (7, 2, 4, 5, 6, 1, 3),
    "10": (1, 3, 4, 6, 7, 5, 2, 8),
    "11": (6, 4, 1, 8, 7, 5, 3, 2),
    "12": (1, 2, 4, 5, 3, 7, 9, 8, 6),
    "13": (1, 2, 3, 7, 6, 8, 5, 4),
    "14": (1, 2, 3, 4, 5, 7, 11, 8, 9, 10, 6),
    "15": (2, 3, 6, 4, 7, 5, 9, 10, 8, 11, 1),
    "16": (1, 2, 3, 4, 5, 6, 7, 8, 9),
}
_TAIL: Final = ("Notation", "Exercises", "In practice", "What we learned", "Further reading", "Next")
#: Minutes in a lecture: the words are spoken with pauses, a prediction is thought over and voted on.
_WORDS, _FIGURE, _PREDICTION, _FORMULA, _CELL, _EXERCISE = 1 / 90, 2.0, 2.0, 1.0, 0.5, 6.0


@dataclass(frozen=True)
class Section:
    """One claim of a notebook: its number, heading, cells and the figures it saves."""

    number: int
    heading: str
    cells: list[Cell] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    @property
    def prose(self) -> str:
        """All its Markdown."""
        return "\n\n".join(text_of(cell) for cell in self.cells if cell["cell_type"] == "markdown")

    @property
    def minutes(self) -> float:
        """What it takes to say it, look at it and think about it."""
        words = len(re.sub(r"\$\$.*?\$\$", "", self.prose, flags=re.DOTALL).split())
        formulas = self.prose.count("$$") // 2
        predictions = len(re.findall(r"\*\*Predict", self.prose))
        code = [cell for cell in self.cells if cell["cell_type"] == "code"]
        pictures = sum("image/png" in o.get("data", {}) for cell in code for o in cell["outputs"])
        counted = (words * _WORDS, pictures * _FIGURE, predictions * _PREDICTION, formulas * _FORMULA)
        return sum(counted) + len(code) * _CELL


def sections(notebook: Notebook) -> list[Section]:
    """The sections that claim something, in order: without notation, exercises and what follows them."""
    found: list[Section] = []
    inside = False
    for cell in notebook.content["cells"]:
        text = text_of(cell)
        if cell["cell_type"] == "markdown" and text.startswith("## "):
            heading = text.splitlines()[0].removeprefix("## ").strip()
            if inside := not heading.startswith(_TAIL):
                found.append(Section(len(found) + 1, heading))
        if inside:
            found[-1].cells.append(cell)
            if cell["cell_type"] == "code":
                found[-1].figures.extend(name for name in notebook.figures if f'"{name}"' in text)
    return found


def plan(notebook: Notebook, length: int) -> tuple[list[Section], list[str]]:
    """The sections of a lecture of so many minutes, and the exercises there is time for.

    The most wanted sections, as long as they fit; one exercise in an hour, two in ninety minutes, and more
    where there is time left.
    """
    every = [exercise.id for exercise in exercises(notebook)]
    asked = every[: max(0, length // 30 - 1)]
    known = {section.number: section for section in sections(notebook)}
    chosen, left = [], length - _EXERCISE * len(asked)
    for number in MOST_WANTED[notebook.number]:
        if known[number].minutes <= left:
            chosen.append(number)
            left -= known[number].minutes
    if length > min(LENGTHS):
        asked = every[: len(asked) + int(left // _EXERCISE)]
    return [known[number] for number in sorted(chosen)], asked


def as_markdown(notebook: Notebook) -> str:
    """The three plans of a notebook, and how the minutes were counted."""
    lines = ["## Plans for a lecture", ""]
    for length in LENGTHS:
        chosen, asked = plan(notebook, length)
        spent = sum(section.minutes for section in chosen) + _EXERCISE * len(asked)
        lines += [f"**{length} minutes** (counted: {spent:.0f})", ""]
        lines += ["| section | figures | minutes |", "|---|---|---|"]
        lines += [f"| {s.heading} | {', '.join(s.figures) or 'none'} | {s.minutes:.0f} |" for s in chosen]
        lines += [f"| exercise {id} | | {_EXERCISE:.0f} |" for id in asked]
        lines += [""]
    whole = sum(section.minutes for section in sections(notebook))
    lines += [
        f"Counted: 90 words a minute, {_FIGURE:g} minutes a figure, {_PREDICTION:g} a prediction, voted on, "
        f"{_FORMULA:g} a displayed formula, half a minute a code cell. All sections: {whole:.0f} minutes."
    ]
    return "\n".join(lines)
