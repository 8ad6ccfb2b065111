"""Checks of notebook 08: right answers and their roundings, confusions by name, junk never raises."""

import pytest

from momentum_lib import exercises
from momentum_lib.exercises.verdict import Verdict


def midway(x, v, grad, *, eta, gamma):
    theta = x + gamma * v / 2
    v = gamma * v + eta * grad(theta - gamma * v)
    return theta - v - gamma * v / 2, v


def plain(x, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(x)
    return x - v, v


def velocity_form(x, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(x - gamma * v)
    return x - v, v


def look_ahead(x, b, grad, *, eta, gamma):
    g = grad(x)
    b = gamma * b + g
    return x - eta * (g + gamma * b), b


def three(x, v, w, grad, *, eta, gamma):
    return x, v, w


@pytest.mark.parametrize(
    ("check", "answer", "hint"),
    [
        ("halfway_letters", (0.5, 0.8, 0.9), None),
        ("halfway_letters", (0.5 + 1e-9, 0.8, 0.9), None),
        ("halfway_letters", (0.1, 0.8, 0.9), "alpha is how far"),
        ("halfway_letters", (0.5, 0.5, 0.9), "velocity keeps"),
        ("halfway_letters", (0.5, 0.8, 0.8), "nu = 1 is heavy ball"),
        ("halfway_letters", (0.5, 0.8, 0.91), "nu = 1 is heavy ball"),
        ("previous_point", (lambda theta, b, eta: theta + eta * b,), None),
        ("previous_point", (lambda theta, b, eta: theta,), "present point"),
        ("previous_point", (lambda theta, b, eta: theta - eta * b,), "which sign"),
        ("previous_point", (lambda theta, b, eta: theta + b,), "no eta inside"),
        ("previous_point", (lambda theta, b, eta: theta + 1.01 * eta * b,), "undo the last step"),
        ("previous_point", (lambda theta, b, eta: 0.0,), "one point for each"),
        ("third_point", (midway,), None),
        ("third_point", (plain,), "other gradients"),
        ("third_point", (velocity_form,), "as nesterov does"),
        ("third_point", (look_ahead,), "as the frameworks do"),
        ("third_point", (three,), "two slots"),
    ],
)
def test_answers(check, answer, hint):
    verdict = getattr(exercises, f"check_{check}")(*answer)
    assert bool(verdict) == (hint is None)
    assert (hint or "") in verdict.text


@pytest.mark.parametrize("check", ["halfway_letters", "previous_point", "third_point"])
@pytest.mark.parametrize("junk", [None, "much", float("nan"), [1, 2], 10**400, lambda: 0])
def test_junk_gets_a_hint(check, junk):
    count = 3 if check == "halfway_letters" else 1
    verdict = getattr(exercises, f"check_{check}")(*[junk] * count)
    assert isinstance(verdict, Verdict) and not verdict
