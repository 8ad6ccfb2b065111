"""The checks of notebook 13: right is right, the working default is not, junk gets a hint."""

import pytest

from momentum_lib import exercises


@pytest.mark.parametrize(
    "check, right, default",
    [
        (exercises.check_pace, 10, 250),
        (exercises.check_edge, 0.095, 0.05),
        (exercises.check_first_try, 0.025, 0.5),
    ],
    ids=["pace", "edge", "first_try"],
)
def test_check(check, right, default):
    assert check(right)
    assert not check(default)
    for junk in (None, "x", [], {}, lambda: 0, float("nan")):
        assert not check(junk)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_pace, 250, "40.8%"),
        (exercises.check_pace, 250, "1.6%"),
        (exercises.check_pace, 3, "0.5%"),  # the notebook's own period
        (exercises.check_pace, 9, "1.5%"),
        (exercises.check_pace, 0, "whole number"),
        (exercises.check_edge, 0.05, "gradient descent's"),
        (exercises.check_edge, 2 * 1.9 / 2.8 / 40, "Nesterov's"),
        (exercises.check_edge, 0.2 / 40, "at full batch"),
        (exercises.check_edge, 0.1, "a sharpness of 38."),
        (exercises.check_edge, 3.8, "a sharpness of 1."),
        (exercises.check_edge, 0.094, "40.43"),
        (exercises.check_edge, 0, "positive"),
        (exercises.check_first_try, 0.5, "20 times as far"),
        (exercises.check_first_try, 10, "wrong way round"),
        (exercises.check_first_try, 0.475, "19 times as far"),
        (exercises.check_first_try, 0.05, "2 times as far"),
    ],
)
def test_a_confusion_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text
