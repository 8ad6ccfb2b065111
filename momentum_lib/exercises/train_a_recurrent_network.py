"""Checks of notebook 14: train a recurrent network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from momentum_lib.definition import RULES
from momentum_lib.exercises.verdict import checked
from momentum_lib.spectrum import stability_limit

__all__ = ["check_backward", "check_guess", "check_largest_rate"]


@checked("that is what a network scores before it has remembered anything.")
def check_guess(share: float, *, answer: float = 0.25, off: float = 0.04) -> str | None:
    """Whether this share of products xy, both from U[0, 1], lies further than `off` from `answer`."""

    def below(p: float) -> float:
        return p * (1 - math.log(p))

    exact = 1 - (below(answer + off) - below(answer - off))
    if abs(share - exact) < 2e-3:
        return None
    if abs(share + exact - 1) < 2e-3:
        return "that is the share answered rightly."
    if abs(share - (1 - 2 * off) ** 2) < 2e-3:
        return "that is the sum of two numbers from [-1, 1]; here it is the product of two from [0, 1]."
    if abs(share - (1 - 2 * off)) < 2e-3:
        return "the product of two uniform numbers is not uniform: small products are common."
    return f"{'too many' if share > exact else 'too few'}; P(xy < p) is the area below the curve y = p / x."


@checked("equal learning rates are not equal for the two forms.")
def check_largest_rate(largest: Callable[..., float]) -> str | None:
    """Whether `largest(form, gamma, lam)` is the stability limit of eta, form "nesterov" or "heavy_ball"."""
    if float(largest("nesterov", 0.9, 1.0)) > float(largest("heavy_ball", 0.9, 1.0)):
        return "the other way round: a look-ahead adds curvature, so Nesterov bears less than heavy ball."
    for form in ("heavy_ball", "nesterov"):
        for gamma, lam in ((0.0, 8.0), (0.9, 50.0), (0.995, 3.0)):
            exact = float(stability_limit(RULES[form].at(gamma=gamma))) / lam
            given = float(largest(form, gamma, lam))
            if not math.isclose(given, exact, rel_tol=1e-6):
                return f"{form} at gamma = {gamma:g}, lam = {lam:g}: yours is {given:.4g} of {exact:.4g}."
    return None


@checked("the last symbol now waits least. Train it: is it easier?")
def check_backward(sequence: Any) -> str | None:
    """Whether `sequence.draw` shows symbols as `Memorization` does and asks for them in reverse order."""
    import jax

    inputs, target = (np.asarray(part) for part in sequence.draw(jax.random.key(14), 50))
    symbols, memory, wait = sequence.symbols, sequence.memory, sequence.wait
    shown = inputs[:memory, :, :symbols].argmax(axis=-1)
    if inputs.shape[0] != wait + 2 * memory or (inputs[memory + wait - 1].argmax(axis=-1) <= symbols).any():
        return "leave the inputs as they are, the cue where it was; only the answers turn round."
    if target.shape != shown.shape:
        return f"the answers are (memory, batch), here {shown.shape}; yours are {target.shape}."
    if (target == shown[::-1]).all():
        return None
    if (target == shown).all():
        return "that is memorization: the symbol shown first is still asked first."
    if (target[:, ::-1] == shown).all() or (target[::-1, ::-1] == shown).all():
        return (
            "that hands each sequence the answers of another; time is the first axis, the batch the second."
        )
    return "the first answer is the symbol shown last, the last answer the symbol shown first."
