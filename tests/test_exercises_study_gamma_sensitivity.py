"""The checks of notebook 05 take what the solutions print, and name the confusions."""

import pytest

from momentum_lib import exercises, minimax, stability_limit


def margin(rule, mu, L):
    best = minimax(rule, mu, L).setting
    return stability_limit(rule.at(gamma=best["gamma"])) / L / best["eta"] - 1


@pytest.mark.parametrize(
    "check, right",
    [
        (exercises.check_break_even, 37.9737),
        (exercises.check_break_even, 38),
        (exercises.check_one_gamma, 0.8448),
        (exercises.check_one_gamma, 0.845),
        (exercises.check_one_gamma, 0.84),
        (exercises.check_margin, margin),
        (exercises.check_margin, lambda *given: round(float(margin(*given)), 4)),
    ],
)
def test_right_answer(check, right):
    assert check(right)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_break_even, 19.0, "its square root"),
        (exercises.check_break_even, 10, "the memory"),
        (exercises.check_break_even, 1442, "best momentum"),
        (exercises.check_break_even, 6.16, "square root of the answer"),
        (exercises.check_break_even, 19.5, "leaves out"),
        (exercises.check_break_even, 37, "descent is quicker"),
        (exercises.check_break_even, 39, "heavy ball is quicker"),
        (exercises.check_break_even, 0.026, "at least 1"),
        (exercises.check_one_gamma, 0.95, "take less"),
        (exercises.check_one_gamma, 0.7, "take more"),
        (exercises.check_one_gamma, 0.83, "take more"),
        (exercises.check_one_gamma, 0.86, "take less"),
        (exercises.check_one_gamma, 1.0, "[0, 1)"),
        (exercises.check_margin, lambda rule, mu, L: mu / L, "heavy ball's margin at every rule"),
        (exercises.check_margin, lambda rule, mu, L: (mu / L) ** 0.5 / 2, "in 1 - gamma"),
        (exercises.check_margin, lambda *given: 1 + margin(*given), "the ratio"),
        (exercises.check_margin, lambda rule, mu, L: (1 + margin(rule, mu, L)) * L - 1, "divide it by L"),
        (exercises.check_margin, lambda *given: 1.1 * margin(*given), "diverges beyond"),
        (exercises.check_margin, 0.0434, "a function"),
    ],
)
def test_wrong_answer_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("junk", [None, "x", float("nan"), [], {}, True, -1, 0, 1e300, lambda: 1])
@pytest.mark.parametrize("name", ["check_break_even", "check_one_gamma", "check_margin"])
def test_junk_never_raises(name, junk):
    assert not getattr(exercises, name)(junk)
