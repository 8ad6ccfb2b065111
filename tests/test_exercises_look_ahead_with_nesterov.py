"""The checks of notebook 07 know a right answer from a near one, and take any."""

import math

import numpy as np
import pytest

from momentum_lib import exercises
from momentum_lib.exercises.verdict import Verdict

ROOT = math.sqrt(0.19)
RIGHT = (1 - ROOT) / (1 + ROOT)
JUNK = [None, "much", math.nan, math.inf, -1.0, 10**400, True, [1], np.ones((2, 3)), lambda phi: None, len]


@pytest.mark.parametrize(
    ("check", "right"),
    [
        ("critical_nesterov", RIGHT),
        ("critical_nesterov", 0.393),
        ("critical_nesterov", np.float64(0.3929)),
        ("recover_theta", lambda phi, b, eta, gamma: phi + gamma * eta * b),
        ("recover_theta", lambda phi, b, eta, gamma: (phi / eta + gamma * b) * eta),
    ],
)
def test_a_right_answer_is_right(check, right):
    assert getattr(exercises, f"check_{check}")(right)


@pytest.mark.parametrize(
    ("check", "wrong", "hint"),
    [
        ("critical_nesterov", 0.39, "crawls"),
        ("critical_nesterov", 0.395, "swings"),
        ("critical_nesterov", (1 - ROOT) ** 2, "heavy ball"),
        ("critical_nesterov", 1 - ROOT, "the rate there"),
        ("critical_nesterov", RIGHT**2, "square of it"),
        ("critical_nesterov", 0.81 / 1.19, "lacks the root"),
        ("critical_nesterov", 1.0, "lies in"),
        ("recover_theta", lambda phi, b, eta, gamma: phi, "look-ahead itself"),
        ("recover_theta", lambda phi, b, eta, gamma: phi - gamma * eta * b, "which sign"),
        ("recover_theta", lambda phi, b, eta, gamma: phi + gamma * b, "no eta inside"),
        ("recover_theta", lambda phi, b, eta, gamma: phi + eta * b, "not all of v"),
        ("recover_theta", lambda phi, b, eta, gamma: phi + 1.01 * gamma * eta * b, "in terms of the buffer"),
        ("recover_theta", lambda phi, b, eta, gamma: 0.0, "one theta for each"),
    ],
)
def test_a_wrong_answer_gets_its_hint(check, wrong, hint):
    verdict = getattr(exercises, f"check_{check}")(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("check", ["critical_nesterov", "recover_theta"])
@pytest.mark.parametrize("junk", JUNK, ids=[str(k) for k in range(len(JUNK))])
def test_junk_never_raises(check, junk):
    verdict = getattr(exercises, f"check_{check}")(junk)
    assert isinstance(verdict, Verdict) and not verdict
