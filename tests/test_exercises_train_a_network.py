"""The checks of notebook 13: right is right, the working default is not, junk gets a hint."""

import pytest

from momentum_lib import RULES, Rule, exercises


def looking(far):
    """Heavy ball that reads its gradient `far` of the way to Nesterov's point."""

    @Rule
    def mine(theta, v, grad, *, eta, gamma):
        v = gamma * v + eta * grad(theta - far * gamma * v)
        return theta - v, v

    return mine


@Rule
def upward(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta)
    return theta + v, v


@pytest.mark.parametrize(
    "check, right, default",
    [
        (exercises.check_pace, 10, 250),
        (exercises.check_between, looking(0.5), looking(1)),
        (exercises.check_first_try, 0.025, 0.5),
    ],
    ids=["pace", "between", "first_try"],
)
def test_check(check, right, default):
    assert check(right)
    assert not check(default)
    for junk in (None, "x", [], {}, lambda: 0, float("nan"), float("inf"), 0, -1):
        assert not check(junk)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_pace, 250, "40.8%"),
        (exercises.check_pace, 250, "1.6%"),
        (exercises.check_pace, 3, "0.5%"),  # the notebook's own period
        (exercises.check_pace, 9, "1.5%"),
        (exercises.check_pace, 0, "whole number"),
        (exercises.check_between, looking(1), "which is Nesterov's"),
        (exercises.check_between, looking(0), "which is heavy ball's"),
        (exercises.check_between, looking(1.5), "below Nesterov's 1.357"),
        (exercises.check_between, looking(-0.2), "below Nesterov's 1.357"),
        (exercises.check_between, RULES["ema"], "above heavy ball's 3.8"),
        (exercises.check_between, RULES["gradient_descent"], "without a memory"),
        (exercises.check_between, upward, "at no learning rate"),
        (exercises.check_between, looking, "decorate"),
        (exercises.check_first_try, 0.5, "20 times as far"),
        (exercises.check_first_try, 10, "wrong way round"),
        (exercises.check_first_try, 0.475, "19 times as far"),
        (exercises.check_first_try, 0.05, "2 times as far"),
    ],
)
def test_a_confusion_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("far", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("eta", [None, 0.02])
def test_any_rule_between_the_two_is_right(far, eta):
    assert exercises.check_between(looking(far) if eta is None else looking(far).at(eta=eta, gamma=0.9))


@pytest.mark.parametrize("rounded", [0.02, 0.025, 0.03])
def test_a_first_try_may_be_rounded(rounded):
    assert exercises.check_first_try(rounded)
