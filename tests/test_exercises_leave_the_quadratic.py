"""Checks of notebook 11."""

import pytest

from momentum_lib import exercises

GROWTH = (2.0 + (2.0**2 - 4 * 0.9) ** 0.5) / 2


@pytest.mark.parametrize("eta", [GROWTH - 1, 0.3162, 0.316])
def test_same_departure(eta: float) -> None:
    assert exercises.check_same_departure(eta)


@pytest.mark.parametrize("eta", [0.1071, 0.107])
def test_way_home(eta: float) -> None:
    assert exercises.check_way_home(eta)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_same_departure, 1.0, "effective"),
        (exercises.check_same_departure, GROWTH, "factor a step"),
        (exercises.check_same_departure, 0.1, "grows by 1.1"),
        (exercises.check_same_departure, 0.32, "grows by 1.32"),
        (exercises.check_same_departure, 0, "above 0"),
        (exercises.check_same_departure, "fast", "could not be used"),
        (exercises.check_way_home, 1 / 9, "on a cycle"),
        (exercises.check_way_home, 0.108, "on a cycle"),
        (exercises.check_way_home, 0.1, "be bolder"),
        (exercises.check_way_home, 0.113, "at most Polyak's"),
        (exercises.check_way_home, 0, "above 0"),
        (exercises.check_way_home, None, "could not be used"),
    ],
)
def test_wrong_answers(check, wrong, hint) -> None:
    verdict = check(wrong)
    assert not verdict and hint in verdict.text
