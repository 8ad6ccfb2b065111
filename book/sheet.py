"""The sheet to print: conventions, the dictionary of damping, the atlas, on two pages of A4."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import rule_facts

from momentum_lib import RULES, damping, stability_limit
from momentum_lib.collection import Notebook

#: The conventions that people meet, in the order of the sheet; each beside the classic whose steps it takes.
CONVENTIONS = {
    "heavy_ball": ("heavy_ball", "torch_sgd", "keras_sgd", "polyak_two_step", "ema", "primal_average"),
    "nesterov": ("nesterov", "torch_nesterov", "keras_nesterov"),
}
#: Curvatures of the table, as eta·lam.
STEEPNESS = (0.01, 0.03, 0.1, 0.3, 1.0, 1.3, 2.0, 3.0)
GAMMA = 0.9


def page(facts: Mapping[str, Mapping[str, Any]], notebooks: Sequence[Notebook]) -> str:
    """The sheet, from what is known of each rule and from the notebook that derives the dictionary."""
    parts = [_HEAD, _conventions(facts), _dictionary(notebooks), _numbers(), _ATLAS]
    return "\n\n".join(parts) + "\n"


def _conventions(facts: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| convention | one step, from its lines | theta is | buffer as | letters of the classic |",
             "|---|---|---|---|---|"]  # fmt: skip
    for classic, names in CONVENTIONS.items():
        for name in names:
            told = rule_facts.card(RULES[name])
            formula = facts[name]["latex"].replace("\n", " ")
            buffer = re.findall(r"\[(.*?)\]", told["Units"])[1]
            alike = next((row for row in facts[name]["alike"] if row["other"] == classic), {"letters": []})
            letters = ", ".join(f"${text}$" for text in alike["letters"]) or (
                "" if name == classic else "the same"
            )
            reports = told["Reports"].partition(", ")[2]
            row = (f"[`{name}`](rules/{name}.md)", f"${formula}$", reports, buffer, letters)
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _dictionary(notebooks: Sequence[Notebook]) -> str:
    """Trace and determinant of both classics, computed; the features, as a notebook derives them."""
    from sympy import Poly, Symbol, factor, symbols

    from momentum_lib import characteristic_polynomial, latex

    texts = [text for notebook in notebooks for text in notebook.sources("markdown")]
    derived = [text for text in texts if "| feature | formula |" in text]
    if len(derived) != 1:
        raise ValueError(
            f"{len(derived)} cells hold a table 'feature, formula'; the sheet prints the one there is."
        )
    told = [part for part in derived[0].split("\n\n") if not re.match(r"#|\*\*(Claim|Predict)", part)]
    lines = ["| of the matrix | heavy ball | Nesterov |", "|---|---|---|"]
    h, z = symbols("h z")
    found = []
    for name in CONVENTIONS:
        polynomial = Poly(
            characteristic_polynomial(RULES[name]).subs(Symbol("eta"), 1).subs(Symbol("lam"), h), z
        )
        found.append(polynomial.all_coeffs())
    for what, k, sign in (("trace", 1, -1), ("determinant", 2, 1)):
        lines.append(f"| {what} | {' | '.join(f'${latex(factor(sign * c[k]))}$' for c in found)} |")
    head = "## The dictionary of damping\n\nOne curvature $\\lambda$, with $h = \\eta\\lambda$."
    return "\n\n".join([head, "\n".join(lines), *told])


def _numbers() -> str:
    head = [
        f"{what}, {name.replace('_', ' ')}"
        for name in CONVENTIONS
        for what in ("period", "half-life", "overshoot")
    ]
    lines = [f"At $\\gamma = {GAMMA}$:", "", f"| $h$ | {' | '.join(head)} |", "|---" * 7 + "|"]
    for h in STEEPNESS:
        row = []
        for name in CONVENTIONS:
            rule = RULES[name].at(eta=1.0, gamma=GAMMA)
            found = damping(rule, h)
            values = (found.period, found.half_life, found.overshoot)
            stable = h < float(stability_limit(rule))
            row += [
                f"{float(value):.3g}".replace("inf", "none") if stable else "diverges" for value in values
            ]
        lines.append(f"| {h:g} | {' | '.join(row)} |")
    return "\n".join(lines)


_HEAD = """# A sheet to print

Two pages of A4: print this page from any browser. Where there is a Chromium, `momentum book` has printed it
to `sheet.pdf` beside it.

## Conventions

Each line takes the steps of the classic above it, heavy ball or Nesterov, at the letters of the last
column."""

_ATLAS = """## The damping atlas

![Forty steps of heavy ball in every cell of learning rate and momentum](figures/damping-atlas.png)"""
