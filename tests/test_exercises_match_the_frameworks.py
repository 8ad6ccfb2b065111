"""The checks of notebook 12: right is right, each confusion gets its hint, junk never raises."""

import numpy as np
import pytest

from momentum_lib import Rule, bias_corrected, ema, exercises, heavy_ball


def average(read, start=lambda m, t: m):
    """A rule whose step reads an average; what it keeps may be spoiled."""

    @Rule
    def made(theta, m, grad, *, eta, gamma, t):
        m = gamma * m + (1 - gamma) * grad(theta)
        return theta - eta * read(m, gamma, t), start(m, gamma**t)

    return made


RIGHT = average(lambda m, gamma, t: m / (1 - gamma**t))


@pytest.mark.parametrize(
    "check, answer, hint",
    [
        ("corrected_average", RIGHT, None),
        ("corrected_average", average(lambda m, gamma, t: m), "starts too small"),
        ("corrected_average", ema, "starts too small"),
        ("corrected_average", average(lambda m, gamma, t: -m / (1 - gamma**t)), "against the average"),
        ("corrected_average", average(lambda m, gamma, t: m * (1 - gamma**t)), "divide by"),
        ("corrected_average", average(lambda m, gamma, t: m / (1 - gamma ** (t + 1))), "one step late"),
        (
            "corrected_average",
            average(lambda m, gamma, t: m / (1 - gamma**t), lambda m, power: m / (1 - power)),
            "keep m as it is",
        ),
        ("corrected_average", bias_corrected, "a sum"),
        ("corrected_average", heavy_ball, "correct what is read"),
        ("corrected_average", average(lambda m, gamma, t: 2 * m), "should be"),
        ("handover", lambda b, eta: -eta * b, None),
        ("handover", lambda b, eta: b, "eta times"),
        ("handover", lambda b, eta: -b, "eta times"),
        ("handover", lambda b, eta: eta * b, "which direction"),
        ("handover", lambda b, eta: -eta * b * 1.01, "compare the two steps"),
        ("corrected_momentum", lambda gamma, eta, before: gamma * before / eta, None),
        ("corrected_momentum", lambda gamma, eta, before: gamma, "in terms of b"),
        ("corrected_momentum", lambda gamma, eta, before: gamma * eta / before, "Goyal's"),
        ("corrected_momentum", lambda *_: 0.5, "nothing is to be corrected"),
    ],
)
def test_answers(check, answer, hint):
    verdict = getattr(exercises, f"check_{check}")(answer)
    assert bool(verdict) == (hint is None)
    assert (hint or "") in verdict.text


def junk_rule(value):
    @Rule
    def made(theta, m, grad, *, eta, gamma):
        grad(theta)
        return value, m

    return made


@pytest.mark.parametrize("check", ["corrected_average", "handover", "corrected_momentum"])
@pytest.mark.parametrize(
    "junk",
    [None, "x", [], {}, lambda: 0, float("nan"), np.zeros((2, 3)), junk_rule(np.inf), junk_rule(None)],
)
def test_junk_gets_a_hint(check, junk):
    assert not getattr(exercises, f"check_{check}")(junk)


@pytest.mark.parametrize("value", [None, "x", float("nan"), float("inf"), np.zeros((2, 3)), 0, -1])
def test_functions_that_give_junk_get_a_hint(value):
    assert not exercises.check_handover(lambda b, eta: value)
    assert not exercises.check_corrected_momentum(lambda gamma, eta, before: value)
