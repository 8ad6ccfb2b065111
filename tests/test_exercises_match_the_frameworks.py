"""The checks of notebook 12: right is right, the working default is not, junk gets a hint."""

import numpy as np
import pytest

from momentum_lib import exercises, heavy_ball, run, torch_sgd


@pytest.mark.parametrize(
    "check, right, default",
    [
        (
            exercises.check_translation,
            {"lr": 0.1, "momentum": 0.9, "dampening": 0.9},
            {"lr": 0.01, "momentum": 0.9, "dampening": 0.9},
        ),
        (exercises.check_handover, lambda b, eta: -eta * b, lambda b, eta: b),
        (
            exercises.check_corrected_momentum,
            lambda gamma, eta, eta_before: gamma * eta_before / eta,
            lambda gamma, eta, eta_before: gamma,
        ),
    ],
    ids=["translation", "handover", "corrected_momentum"],
)
def test_check(check, right, default):
    assert check(right)
    assert not check(default)
    for junk in (None, "x", [], {}, lambda: 0, float("nan")):
        assert not check(junk)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_translation, {"lr": 0.1, "momentum": 0.9, "dampening": 0.0}, "keep dampening"),
        (exercises.check_translation, {"lr": 0.1, "momentum": 0.8, "dampening": 0.8}, "momentum at 0.9"),
        (exercises.check_translation, {"lr": 0.001, "momentum": 0.9, "dampening": 0.9}, "other way round"),
        (exercises.check_translation, {"lr": 0.09, "momentum": 0.9, "dampening": 0.9}, "factor of 9"),
        (exercises.check_handover, lambda b, eta: b, "eta times"),
        (exercises.check_handover, lambda b, eta: eta * b, "which direction"),
        (exercises.check_handover, lambda b, eta: -eta * b * 1.01, "compare the two steps"),
        (exercises.check_corrected_momentum, lambda g, eta, before: g * eta / before, "Goyal's"),
        (exercises.check_corrected_momentum, lambda *_: 0.5, "nothing is to be corrected"),
        (exercises.check_corrected_momentum, lambda g, eta, before: g, "in terms of b"),
    ],
)
def test_a_confusion_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


def test_what_dampening_leaves_over_is_as_the_first_verdict_says():
    """The steps differ by what the first gradient counts for more: 0.09 of it, times gamma^(t-1)."""
    gradients = np.random.default_rng(0).standard_normal(40)

    def steps(rule):
        asked = iter(gradients)
        return -np.diff(run(rule, lambda x: next(asked), 0.0, 40).theta)

    surplus = steps(torch_sgd.at(eta=0.1, gamma=0.9, dampening=0.9)) - steps(
        heavy_ball.at(eta=0.01, gamma=0.9)
    )
    np.testing.assert_allclose(surplus, 0.09 * gradients[0] * 0.9 ** np.arange(40), rtol=0, atol=1e-12)
