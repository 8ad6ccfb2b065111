"""The checks of notebook 14: right is right, the working default is not, junk gets a hint."""

import numpy as np
import pytest

from momentum_lib import exercises
from momentum_lib.learning import Memorization


def asking(turn, shown=lambda inputs: inputs):
    """Memorization whose answers, and inputs, are turned."""

    class Turned(Memorization):
        def draw(self, key, batch):
            inputs, target = super().draw(key, batch)
            return shown(inputs), turn(target)

    return Turned(symbols=3, memory=4, wait=5)


def largest(form, gamma, lam):
    return 2 * (1 + gamma) / (1 + 2 * gamma * (form == "nesterov")) / lam


@pytest.mark.parametrize(
    "check, right, default",
    [
        (exercises.check_guess, 0.889, 0.92),
        (exercises.check_largest_rate, largest, lambda form, gamma, lam: 2 / lam),
        (exercises.check_backward, asking(lambda y: y[::-1]), asking(lambda y: y)),
    ],
    ids=["guess", "largest_rate", "backward"],
)
def test_check(check, right, default):
    assert check(right)
    assert not check(default)
    for junk in (None, "x", [], {}, lambda: 0, float("nan"), float("inf"), 0, -1):
        assert not check(junk)


def test_guess_agrees_with_drawn_products():
    x, y = np.random.default_rng(0).uniform(0, 1, (2, 1_000_000))
    assert exercises.check_guess(float(np.mean(abs(x * y - 0.25) > 0.04)))


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_guess, 0.111, "answered rightly"),
        (exercises.check_guess, 0.92, "not uniform"),
        (exercises.check_guess, 0.8464, "the sum of two"),
        (exercises.check_guess, 0.5, "too few"),
        (exercises.check_guess, 0.895, "too many"),
        (
            exercises.check_largest_rate,
            lambda form, g, lam: largest("heavy_ball", g, lam),
            "nesterov at gamma = 0.9",
        ),
        (
            exercises.check_largest_rate,
            lambda form, g, lam: largest("nesterov", g, lam),
            "heavy_ball at gamma = 0.9",
        ),
        (
            exercises.check_largest_rate,
            lambda form, g, lam: largest("nesterov" if form == "heavy_ball" else "heavy_ball", g, lam),
            "other way round",
        ),
        (exercises.check_backward, asking(lambda y: y), "still asked first"),
        (exercises.check_backward, asking(lambda y: y[:, ::-1]), "of another"),
        (exercises.check_backward, asking(lambda y: y[::-1, ::-1]), "of another"),
        (exercises.check_backward, asking(lambda y: y, lambda x: x[::-1]), "leave the inputs"),
        (exercises.check_backward, asking(lambda y: y[:2]), "(memory, batch)"),
        (exercises.check_backward, asking(lambda y: y.T), "(memory, batch)"),
        (exercises.check_backward, asking(lambda y: np.roll(y, 1, axis=0)), "shown last"),
    ],
)
def test_a_confusion_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("rounded", [0.89, 0.889, 0.8888])
def test_a_guess_may_be_rounded(rounded):
    assert exercises.check_guess(rounded)
