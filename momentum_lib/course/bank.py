"""The bank of answers behind each check: right ones in several forms, wrong ones with what they confuse.

It stands beside the checks, ``exercises/NAME.toml``. The tests try every answer; the instructor's copy prints
the wrong ones, with the hint a student gets.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from momentum_lib import exercises
from momentum_lib.exercises.verdict import Verdict

__all__ = ["Answers", "bank"]


@dataclass(frozen=True)
class Answers:
    """The answers of one check, as Python text: what stands between the parentheses of its call.

    `wrong` has with each a word of the hint it must get. `given` is what the texts build on.
    """

    check: str
    right: tuple[str, ...]
    wrong: tuple[tuple[str, str], ...]
    given: str

    def verdict(self, text: str) -> Verdict:
        """What the check says to an answer."""
        names = dict(_names(self.given))
        answer: Verdict = getattr(exercises, f"check_{self.check}")(*eval(f"({text},)", names))
        return answer


@functools.cache
def _names(given: str) -> Mapping[str, Any]:
    names: dict[str, Any] = {"__name__": "bank"}
    exec(given, names)
    return names


@functools.cache
def bank() -> dict[str, Answers]:
    """All answers, by the name of the check."""
    found = {}
    for file in sorted(Path(exercises.__file__ or "").parent.glob("*.toml")):
        told = tomllib.loads(file.read_text(encoding="utf-8"))
        given = told.pop("given", "")
        for check, answers in told.items():
            wrong = tuple((text, hint) for text, hint in answers["wrong"])
            found[check] = Answers(check, tuple(answers["right"]), wrong, given)
    return found
