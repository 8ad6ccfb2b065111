"""The checks of notebook 04 know a right answer from a near one, and take any."""

import pytest

from momentum_lib import Rule, ema, exercises, gradient_descent, heavy_ball, nesterov

CHECKS = [exercises.check_ema_limit, exercises.check_fewest_steps, exercises.check_flat_limit]
JUNK = [None, "x", float("nan"), [], {}, lambda: 1, lambda gamma: None, -1, 0, 1e300, gradient_descent]


def looking(share):
    @Rule
    def own(theta, v, grad, *, eta, gamma):
        v = gamma * v + eta * grad(theta - share * gamma * v)
        return theta - v, v

    return own


@Rule
def forgetful(theta, v, grad, *, eta, gamma):
    v = 0 * gamma * v + eta * grad(theta)
    return theta - v, v


@pytest.mark.parametrize(
    "check, right",
    [
        (exercises.check_ema_limit, lambda gamma: (2 + 2 * gamma) / (1 - gamma)),
        (exercises.check_fewest_steps, 726),
        (exercises.check_flat_limit, looking(0.5)),
    ],
)
def test_right_answer(check, right):
    assert check(right)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_ema_limit, lambda gamma: 2 * (1 + gamma), "averages"),
        (exercises.check_ema_limit, lambda gamma: 2 / (1 - gamma), "1 + gamma"),
        (exercises.check_ema_limit, lambda gamma: 2 - 2 * gamma**2, "may be larger"),
        (exercises.check_ema_limit, lambda gamma: (2 + 2 * gamma) / (1 + 2 * gamma), "Nesterov"),
        (exercises.check_ema_limit, lambda gamma: 1, "turn unstable at 2"),
        (exercises.check_ema_limit, lambda gamma: 2.001 * (1 + gamma) / (1 - gamma), "turn unstable"),
        (exercises.check_fewest_steps, 600, "at least"),
        (exercises.check_fewest_steps, 725, "at least"),
        (exercises.check_fewest_steps, 691, "forgets the 2"),
        (exercises.check_fewest_steps, 727, "fewer steps"),
        (exercises.check_fewest_steps, 726.0, "whole number"),
        (exercises.check_fewest_steps, 0, "at least one"),
        (exercises.check_flat_limit, heavy_ball, "look further"),
        (exercises.check_flat_limit, nesterov, "less far"),
        (exercises.check_flat_limit, looking(0.49), "look further"),
        (exercises.check_flat_limit, ema, "look further"),
        (exercises.check_flat_limit, forgetful, "keep the velocity"),
    ],
)
def test_wrong_answer_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("junk", JUNK, ids=[str(k) for k in range(len(JUNK))])
def test_junk_never_raises(check, junk):
    assert not check(junk)
