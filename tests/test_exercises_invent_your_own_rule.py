"""Checks of notebook 16."""

import pytest

from momentum_lib import Rule, adam, exercises, heavy_ball


def elephant(theta, v, grad, *, lr):
    v = v + grad(theta)
    return theta - lr * v, v


def fading(theta, v, grad, *, lr, mu):
    v = mu * v + grad(theta)
    return theta - lr * v, v


def plain(theta, grad, *, lr):
    return theta - lr * grad(theta)


def two_looks(theta, v, grad, *, lr, mu):
    v = mu * v + lr * (grad(theta) + grad(theta - mu * v)) / 2
    return theta - v, v


def same_place_twice(theta, grad, *, lr):
    return theta - lr * (grad(theta) + grad(theta)) / 2


@pytest.mark.parametrize(
    "answer, hint",
    [
        ((0.5, 0.75), None),
        ((0.501, 0.75), None),
        ((2.0, 0.75), "only the share 1 - mu"),
        ((0.5, 0.25), "what is left of the old theta"),
        ((1.5, 0.75), "how far does theta go"),
        (("x", None), "could not be used"),
    ],
)
def test_disguise(answer, hint):
    verdict = exercises.check_disguise(*answer)
    assert bool(verdict) == (hint is None) and (hint or "same steps") in verdict.text


@pytest.mark.parametrize(
    "answer, hint",
    [
        (Rule(fading).at(lr=0.5, mu=0.8), None),
        (heavy_ball.at(eta=1.0, gamma=0.5), None),
        (Rule(elephant).at(lr=0.5), "swings for ever still"),
        (Rule(fading).at(lr=9.0, mu=0.8), "take a smaller step size"),
        (Rule(plain).at(lr=1.0), "without a memory it is gradient descent"),
        (Rule(fading).at(mu=0.8), "leaves lr open"),
        (adam.at(eta=0.1), "not linear"),
        (elephant, "decorate the step"),
    ],
)
def test_repair(answer, hint):
    verdict = exercises.check_repair(answer)
    assert bool(verdict) == (hint is None) and (hint or "arrives") in verdict.text


@pytest.mark.parametrize(
    "answer, hint",
    [
        (Rule(two_looks), None),
        (Rule(fading), "is heavy_ball|is ema|is torch_sgd"),
        (heavy_ball, "is heavy_ball"),
        (Rule(same_place_twice), "new, but its best factor"),
        (Rule(elephant), "new, but its best factor per step is 1.0000"),
        (adam, "not linear"),
        (3, "decorate the step"),
    ],
)
def test_new_rule(answer, hint):
    verdict = exercises.check_new_rule(answer)
    assert bool(verdict) == (hint is None)
    assert any(part in verdict.text for part in (hint or "what a step costs").split("|"))
