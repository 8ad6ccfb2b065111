"""Conversions: each map is an exact zero, each way back an inverse, each buffer carries on."""

import math

import numpy as np
import pytest
import sympy

from momentum_lib.conversions import CONVERSIONS, convert, convert_state, formula
from momentum_lib.definition import Promise, Rule
from momentum_lib.rules import (
    accsgd,
    aggregated,
    ema,
    heavy_ball,
    item,
    keras_nesterov,
    keras_sgd,
    mass,
    nesterov,
    pid,
    polyak_two_step,
    primal_average,
    qhm,
    robust_momentum,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from momentum_lib.runner import run
from momentum_lib.schedules import linear_ramp
from momentum_lib.symbolic import equivalent

# Their reported points differ; the gradients do not.
OTHER_POINT = {
    (nesterov, torch_nesterov),
    (nesterov, keras_nesterov),
    (robust_momentum, qhm),
    (mass, qhm),
    (qhm, item),
}
PLAIN, AHEAD = (rule.at(eta=0.2, gamma=0.75) for rule in (heavy_ball, nesterov))
RAMP = linear_ramp(0.1, 0.2, steps=9)
FIXED = Promise(0.8, "a theorem", "upper", bounds="theta")
IN_THE_END = Promise(0.8, "a theorem", "asymptotic", bounds="theta")


class Path:
    """Random slopes and pushes, from step `start` on."""

    def __init__(self, start=0):
        self.start, (self.slope, self.push) = start, np.random.default_rng(1).uniform(0, 1, (2, 60))

    def __call__(self, theta):
        return 0 * theta

    def at_step(self, t, rng):
        return lambda theta: self.slope[self.start + t - 1] * theta - self.push[self.start + t - 1]


@pytest.mark.parametrize("pair", CONVERSIONS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_there_is_an_exact_zero_and_back_its_inverse(pair):
    special, general = pair
    there, back = CONVERSIONS[pair]
    found = equivalent(special, general, there)
    assert found.queries and found.same_first_step and found.when == "every t"  # tight
    assert found.iterate == (pair not in OTHER_POINT)
    symbols = {name: sympy.Symbol(name) for name in special.hyper}
    image = {
        n: formula(there.get(n, n), symbols.__getitem__) for n in general.hyper if n in there or n in symbols
    }
    for name in special.free:
        again = formula(back.get(name, name), image.__getitem__)
        assert sympy.simplify(again - symbols[name]) == 0, name


@pytest.mark.parametrize("to", [torch_sgd, keras_sgd, ema, primal_average, qhm, triple_momentum], ids=str)
def test_a_run_carries_on_in_another_convention(to):
    """The same queries, from a checkpoint; `Run.state` goes in and `start=` takes what comes out."""
    whole, stop = run(PLAIN, Path(), 1.0, 60), run(PLAIN, Path(), 1.0, 30)
    after = run(convert(PLAIN, to), Path(30), None, 30, start=convert_state(PLAIN, to, stop.state))
    assert np.allclose(after.queries, whole.queries[30:], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "to", "found"),
    [
        # PyTorch does not damp its first step: the exact image of an average has no dampening.
        (ema.at(eta=0.8, gamma=0.75), torch_sgd, torch_sgd.at(eta=0.2, gamma=0.75)),
        (ema.at(eta=0.8, gamma=0.75), heavy_ball, PLAIN),
        (convert(PLAIN, keras_sgd), torch_sgd, torch_sgd.at(eta=0.2, gamma=0.75)),
        (heavy_ball.at(eta=[0.1, 0.2], gamma=0.5), ema, ema.at(eta=np.array([0.2, 0.4]), gamma=0.5)),
        # Schedules go over where the two take the same steps while they change.
        (heavy_ball.at(eta=RAMP, gamma=0.75), keras_sgd, keras_sgd.at(eta=RAMP, gamma=0.75)),
        (PLAIN.at(gamma=RAMP), torch_sgd, torch_sgd.at(eta=0.2, gamma=RAMP)),
        (AHEAD.at(gamma=RAMP), robust_momentum, robust_momentum.at(alpha=0.2, beta=RAMP, gamma=RAMP)),
        (heavy_ball.at(eta=RAMP, gamma=RAMP), polyak_two_step, polyak_two_step.at(eta=RAMP, gamma=RAMP)),
    ],
    ids=str,
)
def test_convert_reads_the_same_gradients_from_the_first_step(rule, to, found):
    made = convert(rule, to)
    assert made.base is to and made.setting.keys() == found.setting.keys()
    for name, value in made.setting.items():
        assert value is found.setting[name] or np.allclose(value, found.setting[name]), name
    theirs, ours = (run(r, Path(), 1.0, 20).queries for r in (rule, made))
    assert np.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_the_chain_through_three_maps():
    assert convert(keras_nesterov.at(eta=0.2, gamma=0.75), accsgd).setting["delta"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rule", "to", "promise", "kept"),
    [
        (PLAIN, torch_sgd, FIXED, True),
        (PLAIN, torch_sgd, None, False),
        (AHEAD, torch_nesterov, FIXED, False),  # it is about another point
        (AHEAD, torch_nesterov, IN_THE_END, True),
        (AHEAD, robust_momentum, FIXED, True),
    ],
)
def test_a_promise_goes_along_where_it_holds(rule, to, promise, kept):
    assert convert(rule.promising(promise), to).promise == (promise if kept else None)


def test_the_card_says_which_point_is_reported():
    for special, general in OTHER_POINT:
        assert special.card["Reports"].split(",")[1:] != general.card["Reports"].split(",")[1:]


DAMPED = torch_sgd.at(eta=0.2, gamma=0.75, dampening=0.5)
DECAYED = torch_nesterov.at(eta=0.2, gamma=0.75, weight_decay=0.1)


def own_ball(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta)
    return theta - v, v


@pytest.mark.parametrize(
    ("rule", "to", "sentence"),
    [
        (qhm.at(alpha=1.0, beta=0.5, nu=0.25), heavy_ball, r"is no heavy_ball: heavy_ball is qhm\(nu=1\)\."),
        (DAMPED, heavy_ball, r"heavy_ball is torch_sgd\(dampening=0\)"),
        (DECAYED, qhm, r"qhm is torch_nesterov\(weight_decay=0\)"),
        (PLAIN, nesterov, r"heavy_ball\(.* is no nesterov: nesterov is robust_momentum\(beta=0\), and this"),
        (PLAIN, accsgd, "kappa = .* has no value at qhm"),
        (PLAIN, aggregated((0.5,)), "CONVERSIONS has no map for aggregated"),
        (Rule(own_ball).at(eta=0.2, gamma=0.75), qhm, r"identify\(own_ball\) says what it is"),
        (PLAIN, "ema", r'take RULES\["ema"\]'),
        ("heavy_ball", ema, r'take RULES\["heavy_ball"\]'),
        (heavy_ball.at(eta=0.2), ema, "leaves gamma open"),
        (PLAIN.at(t=3), ema, "is frozen at t=3"),
        (PLAIN, ema.at(eta=1), "give ema instead of ema"),
        (heavy_ball.at(eta=RAMP, gamma=0.75), torch_sgd, "the two part as soon as eta changes"),
        (AHEAD.at(gamma=RAMP), torch_nesterov, "the two part as soon as gamma changes"),
        (heavy_ball.at(eta=0.2, gamma=RAMP), ema, "a schedule goes over as it is or not at all"),
    ],
    ids=str,
)
def test_convert_refuses_by_name(rule, to, sentence):
    with pytest.raises(ValueError, match=sentence):
        convert(rule, to)


@pytest.mark.parametrize(
    ("rule", "to", "state", "sentence"),
    [
        (PLAIN, pid, {"theta": 1.0, "v": 0.25}, "e of pid does not follow from theta, v of heavy_ball"),
        (PLAIN, ema, {"theta": 1.0}, "a state of heavy_ball maps theta, v; got theta"),
        (PLAIN, ema, (1.0, 0.25), "a state of heavy_ball maps theta, v; got"),
        (heavy_ball.at(eta=RAMP, gamma=0.5), keras_sgd, {"theta": 1.0, "v": 0.25}, "not one number each"),
        (heavy_ball.at(eta=[1, 2], gamma=0.5), ema, {"theta": 1.0, "v": 0.25}, "not one number each"),
    ],
)
def test_a_state_that_cannot_be_translated(rule, to, state, sentence):
    with pytest.raises(ValueError, match=sentence):
        convert_state(rule, to, state)


def test_a_state_is_translated_slot_by_slot():
    """Arrays of any shape, of the type they had; what an old slot has no part in is not touched."""
    theta, v = np.ones((2, 3), np.float32), np.full((2, 3), 0.5, np.float32)
    state = convert_state(PLAIN, torch_sgd, {"theta": theta, "v": v})
    assert state["b"].dtype == np.float32 and np.allclose(state["b"], 2.5)
    assert np.array_equal(state["theta"], theta)


@pytest.mark.parametrize(
    ("text", "value"),
    [("-(1 + a)*2/3", -2.0), ("a**2 - 0.5", 3.5), ("(a - 1)**-1", 1.0), ("+a", 2.0)],
)
def test_formula(text, value):
    assert formula(text, {"a": 2.0}.__getitem__) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os').getpid()", "a.real", "a(1)", "[a]", "a[0]", "a if a else a", "a < 1", "(b := a)"),
        *("lambda: a", "'a'", "True", "1j", "a @ a", "a; a", "a\0", "9**9**9", "a**100"),
        *("(" * 5000 + "a" + ")" * 5000, "-" * 100_000 + "a"),
    ],
)
def test_no_text_runs(text):
    with pytest.raises(ValueError, match="is no formula; write names, numbers"):
        formula(text, lambda name: math.pi)


@pytest.mark.parametrize("eta", [1e-9, 1e-15, 1e-100])
def test_a_state_translates_at_any_size_of_step(eta):
    state = convert_state(heavy_ball.at(eta=eta, gamma=0.9), torch_sgd, {"theta": 1.0, "v": 3 * eta})
    assert state == pytest.approx({"theta": 1.0, "b": 3.0}, rel=1e-12)
