"""What a rule is, and a rule at a setting; what is neither is refused with a sentence."""

import inspect
import multiprocessing
import pickle
from decimal import Decimal
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import sympy

from momentum_lib import rules as r
from momentum_lib.definition import CARD_FIELDS, RULES, Promise, Rule, RuleError, rule
from momentum_lib.nonlinear import adam, clipped
from momentum_lib.problems import Quadratic
from momentum_lib.rules import heavy_ball, torch_sgd
from momentum_lib.runner import run
from momentum_lib.schedules import bias_correction, sutskever, warmup

AT, GRID = heavy_ball.at(eta=0.1, gamma=0.9), np.array([0.1, 0.2])
nan, inf = float("nan"), float("inf")

# --- read off the signature ---------------------------------------------------------------------------


@Rule
def two_slots(theta, v, grad, *, eta, gamma=0):
    """Steps; no card."""
    v = gamma * v + eta * grad(theta)
    return theta - v, v


def test_the_signature_is_the_declaration():
    assert two_slots.name == two_slots.__name__ == repr(two_slots) == "two_slots"
    assert (two_slots.slots, two_slots.hyper) == (("theta", "v"), ("eta", "gamma"))
    assert (two_slots.defaults, two_slots.free, two_slots.has_first_step) == ({"gamma": 0}, ("eta",), False)
    assert str(inspect.signature(two_slots.at(eta=1))) == "(theta, v, grad, /, *, eta=1, gamma=0)"
    # The card is the docstring's; without one the lines themselves stand in.
    assert two_slots.card == {"Summary": "Steps; no card.", "Display": ""}
    assert "return theta - v, v" in two_slots._repr_html_()
    card = torch_sgd.at(eta=1).card
    assert list(card) == ["Summary", "Display", *CARD_FIELDS]
    assert "theta_" in card["Display"].splitlines()[1]
    assert "\n" not in card["Not to be confused with"]
    assert torch_sgd.at(eta=1)._repr_html_().startswith("<b>torch_sgd(eta=1)</b><pre>b_t = ")


def test_letters_keep_the_order_of_the_paper_and_a_run_keeps_the_count():
    @Rule
    def mixed(theta, grad, /, *, a=1, b, c=2, d, t=1):
        return [theta - a * b * c * d * grad(theta) / t]

    assert mixed.hyper == ("a", "b", "c", "d", "t")
    assert mixed.free == ("b", "d"), "the step count is never free, nor set by a default"
    assert run(mixed.at(b=1, d=1), lambda x: 1.0, 0.0, 2).theta.tolist() == [0, -2, -3], "a list is a tuple"


def test_the_constructor_beneath_takes_families():
    """A variable number of slots, defaults or none, a text of its own."""

    def step(theta, *rest, eta):
        *velocities, grad = rest
        velocities = [v / 2 + eta * grad(theta) for v in velocities]
        return theta - sum(velocities), *velocities

    made = Rule(step, slots=("theta", "v1", "v2"), hyper=("eta",), name="family", text="family(2)")
    assert (made.name, repr(made), made.slots) == ("family", "family(2)", ("theta", "v1", "v2"))
    assert (made.hyper, made.defaults, made.at_rest) == (("eta",), {}, (True, False, False))
    assert made(1.0, 2.0, 4.0, lambda x: x, eta=0.5) == (-3.0, 1.5, 2.5)
    assert Rule(step, slots=["theta", "v"], hyper={"eta": 0.1}).defaults == {"eta": 0.1}
    assert Rule(partial(heavy_ball.step, gamma=0.5)).setting == {"gamma": 0.5}


def test_at_rest_tells_points_from_velocities():
    """Points stand at theta, velocities at zero, and nothing moves; in any algebra."""
    assert heavy_ball.at_rest == r.nesterov.at(gamma=0.9).at_rest == (True, False)
    assert r.polyak_two_step.at_rest == (True, True)
    shrinking = Rule(lambda theta, v, grad, *, eta, decay: ((1 - decay / 100) * theta - v, eta * grad(theta)))
    assert shrinking.at_rest == (True, False), "a rule that shrinks theta rests where it moves least"
    assert begins.at_rest == (True, False), "of two that do, the velocity"
    assert heavy_ball.init(sympy.Symbol("theta")) == (sympy.Symbol("theta"), 0)
    assert heavy_ball.init(Fraction(1, 3)) == (Fraction(1, 3), Fraction(0))
    for one in RULES.values():
        for slot, point in zip(one.init(np.ones((2, 3), np.float32)), one.at_rest, strict=True):
            assert (slot.shape, slot.dtype, (slot == point).all()) == ((2, 3), np.float32, True)


# --- one step -----------------------------------------------------------------------------------------

begins = Rule(lambda theta, v, grad, *, eta: (theta - eta * grad(theta), v), name="begins")
begins.first(lambda theta, v, grad, *, eta: (theta, v))


@pytest.mark.parametrize(
    ("rule", "letters", "made"),
    [
        (heavy_ball, {"eta": 0.5, "gamma": 0.25}, (-1.0, 2.0)),
        (heavy_ball.at(eta=0.5), {"gamma": 0.25}, (-1.0, 2.0)),
        (two_slots, {"eta": 0.5}, (-0.5, 1.5)),
        (two_slots, {"eta": 0.5, "gamma": 1}, (-2.5, 3.5)),
        (Rule(lambda theta, grad, *, eta: theta - eta * grad(theta)), {"eta": 0.5}, (-0.5,)),
        (begins, {"eta": 0.5}, (-0.5, 2.0)),
        (begins, {"eta": 0.5, "t": 1}, (1.0, 2.0)),
        (begins, {"eta": 0.5, "t": 2}, (-0.5, 2.0)),
        (begins.at(t=1), {"eta": lambda t: t / 2}, (1.0, 2.0)),
        (begins.at(eta=lambda t: t / 2), {"t": 3}, (-3.5, 2.0)),
        (r.bias_corrected, {"eta": 0.5, "gamma": 0.5, "t": 1}, (-4.0, 2.5)),
    ],
)
def test_a_call_is_one_step_and_always_a_tuple(rule, letters, made):
    assert rule(*(1.0, 2.0)[: len(rule.slots)], lambda x: 3 * x, **letters) == made


# --- at a setting -------------------------------------------------------------------------------------


def test_letters_are_set_partly_again_and_opened():
    half = heavy_ball.at(gamma=0.5)
    assert (half.free, dict(half.setting)) == (("eta",), {"gamma": 0.5})
    assert half.base is half.at(eta=1).base is heavy_ball
    whole = half.at(eta=1, gamma=0.25)
    assert (whole.free, whole.closed(), dict(whole.setting)) == ((), whole, {"eta": 1, "gamma": 0.25})
    assert list(torch_sgd.at(eta=1, gamma=0).setting) == ["eta", "gamma", "dampening", "weight_decay"]
    assert torch_sgd.at(dampening=sympy.Symbol("d")).setting["dampening"] == sympy.Symbol("d")
    assert heavy_ball.free == ("eta", "gamma"), "and the rule itself stays as it was"
    ramp = heavy_ball.at(eta=lambda t: 1 / t, gamma=0.5, t=4)
    assert (list(ramp.schedules), ramp.counts, r.bias_corrected.counts) == (["eta"], False, True)


def test_what_is_known_of_a_setting_is_dropped_with_it():
    known = AT.promising(Promise(0.9, "a theorem", "tight"))
    assert (known.rate, known.theorem, known.kind) == (0.9, "a theorem", "tight")
    assert known.at().promise is known.promise, "nothing was set"
    assert pickle.loads(pickle.dumps(known)).promise == known.promise
    assert (known.at(eta=0.1).promise, known.at(eta=0.1).rate, AT.promise) == (None, None, None)
    assert known == AT, "a promise is no part of the setting"


def test_a_setting_is_nobody_elses():
    """The caller's array may change later; the one inside cannot."""
    for given in (np.array([0.1, 0.2]), np.array(0.1)):
        made = heavy_ball.at(eta=given)
        given[...] = 7.0
        assert np.max(made.setting["eta"]) < 1
    with pytest.raises(ValueError, match="read-only"):
        heavy_ball.at(gamma=GRID).setting["gamma"][0] = 1.0


@pytest.mark.parametrize(
    ("letters", "shown"),
    [
        ({}, ""),
        ({"gamma": 0.9, "eta": 1.0}, "(eta=1, gamma=0.9)"),
        ({"eta": 1 / 3, "t": 5}, "(eta=0.333333, t=5)"),
        ({"eta": np.linspace(0, 1, 6).reshape(2, 3)}, "(eta=array of shape (2, 3))"),
        ({"eta": [0.1, 0.2], "gamma": (0.5,)}, "(eta=(0.1, 0.2), gamma=(0.5,))"),
        ({"eta": sympy.Symbol("h") / 2, "gamma": np.array(0.5)}, "(eta=h/2, gamma=0.5)"),
        ({"eta": Fraction(1, 3), "gamma": 10**400}, f"(eta=Fraction(1, 3), gamma={10**400})"),
        ({"eta": warmup(0.4, 5)}, "(eta=warmup(value=0.4, steps=5))"),
        ({"gamma": min}, "(gamma=<built-in function min>)"),
        ({"gamma": eval("lambda t: t")}, "(gamma=<function <lambda>>)"),  # without its address
    ],
    ids=lambda p: p[:40] if isinstance(p, str) else "",
)
def test_it_prints_as_it_is_set(letters, shown):
    assert repr(heavy_ball.at(**letters)) == f"heavy_ball{shown}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (AT, heavy_ball.at(gamma=0.9).at(eta=0.1), True),
        (AT, heavy_ball.at(eta=0.1, gamma=np.float64(0.9)), True),
        (AT, heavy_ball.at(eta=0.1, gamma=0.8), False),
        (AT, heavy_ball.at(eta=0.1), False),
        (AT, r.nesterov.at(eta=0.1, gamma=0.9), False),
        (AT, AT.at(t=1), False),
        (AT, Rule(heavy_ball.step).at(eta=0.1, gamma=0.9), False),
        (torch_sgd, torch_sgd.at(dampening=0), True),
        (heavy_ball.at(eta=warmup(0.4, 5)), heavy_ball.at(eta=warmup(0.4, 5)), True),
        (heavy_ball.at(eta=warmup(0.4, 5)), heavy_ball.at(eta=warmup(0.4, 6)), False),
        (heavy_ball.at(eta=[0.1, 0.2]), heavy_ball.at(eta=(0.1, 0.2)), True),
        (heavy_ball.at(eta=GRID), heavy_ball.at(eta=GRID.copy()), True),
        (heavy_ball.at(eta=GRID), heavy_ball.at(eta=2 * GRID), False),
        (heavy_ball.at(eta=GRID), AT, False),
        (heavy_ball.at(eta=[GRID, GRID]), heavy_ball.at(eta=[GRID, 2 * GRID]), False),
        (heavy_ball.at(eta=warmup(GRID, 5)), heavy_ball.at(eta=warmup(2 * GRID, 5)), False),
        (r.aggregated((0, 0.9)).at(eta=1), r.aggregated([0, 0.9]).at(eta=1), True),
        (r.aggregated((0, 0.9)), r.aggregated((0, 0.99)), False),
        (clipped(torch_sgd).at(threshold=1), clipped(torch_sgd).at(threshold=1.0), True),
        (AT, "heavy_ball(eta=0.1, gamma=0.9)", False),
    ],
    ids=str,
)
def test_it_compares_and_hashes_where_its_values_do(one, other, same):
    assert (one == other) is same
    if "array" not in repr(one):
        assert (hash(one) == hash(other)) is same


TRAVEL = [
    AT,
    heavy_ball.at(eta=sutskever(0.9, 5), gamma=[0.1, 0.2]),
    heavy_ball.at(**bias_correction(0.1, 0.9)),
    torch_sgd.at(eta=0.1, gamma=0.9, dampening=0.5),
    r.aggregated((0, 0.9)).at(eta=GRID),
    adam.at(eta=0.1),
    clipped(torch_sgd).at(eta=0.1, gamma=0.5, threshold=1.0),
]


def test_it_travels_to_another_process_by_name():
    """And a run with it, which goes on where it is read again."""
    f = Quadratic([1.0, 3.0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.starmap(run, [(one, f.grad, [1.0, -2.0], 5) for one in TRAVEL])
    for here, made in zip(TRAVEL, there, strict=True):
        assert np.array_equal(made.resume(2).theta, run(here, f.grad, [1.0, -2.0], 7).theta)
        assert (made.rule, repr(made.rule)) == (here, repr(here))
    assert there[0].rule.base is heavy_ball


def test_a_free_step_size_counts_as_one():
    assert heavy_ball.at(gamma=0.9).in_unit_steps() == heavy_ball.at(eta=1, gamma=0.9)
    assert r.qhm.at(beta=0.9, nu=0.7).in_unit_steps().setting["alpha"] == 1
    assert AT.in_unit_steps() is AT
    usual = Rule(lambda theta, v, grad, *, gamma, lr=0.5: (theta - v, gamma * v + lr * grad(theta)))
    assert dict(usual.at(gamma=0.9).in_unit_steps().setting) == {"gamma": 0.9, "lr": 0.5}, "a default is set"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (heavy_ball, r"heavy_ball\(eta=1\) leaves gamma open; set it with \.at\(gamma=\.\.\.\)"),
        (heavy_ball.at(eta=2), r"heavy_ball\(eta=2\) leaves gamma open"),
        (r.mass.at(gamma=0.5), r"eta1, eta2 open, .*\(mass has the step sizes eta1 and eta2\)"),
        (r.mass.at(gamma=0.5, eta1=1), r"leaves eta2 open, and no one step size"),
        (r.pid, r"pid has the step sizes k_p and k_i and k_d"),
        (r.chebyshev.at(L=1), r"leaves mu open, .*\(chebyshev has none\)"),
    ],
    ids=str,
)
def test_what_is_not_one_step_size_is_refused_by_name(rule, sentence):
    with pytest.raises(RuleError, match=sentence):
        rule.in_unit_steps()


def test_a_students_rule_enters_the_registry_and_never_replaces_a_shipped_one():
    assert all(made.name == name for name, made in RULES.items())
    shipped, theirs = RULES["heavy_ball"], heavy_ball.step

    def heavy_ball_of_mine(theta, grad, *, eta):
        return (theta - eta * grad(theta),)

    try:
        first = rule(heavy_ball_of_mine)
        assert RULES["heavy_ball_of_mine"] is first
        again = rule(heavy_ball_of_mine)
        assert RULES["heavy_ball_of_mine"] is again, "a cell run twice: the newer definition holds"
        heavy_ball_of_mine.__name__ = "heavy_ball"
        assert rule(heavy_ball_of_mine).name == "heavy_ball"
        assert (RULES["heavy_ball"], shipped.step) == (shipped, theirs)
    finally:
        RULES.pop("heavy_ball_of_mine", None)


# --- refusals -----------------------------------------------------------------------------------------


def no_gradient(theta, v, *, eta): ...
def gradient_first(grad, theta, *, eta): ...
def eta_positional(theta, grad, eta): ...
def star_args(theta, *velocities, grad): ...
def star_kwargs(theta, grad, **hyper): ...
def no_slot(grad, *, eta): ...
def of_a_kind(theta, grad, *, eta, kind="plain"): ...
def unset(theta, grad, *, eta=None): ...


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (no_gradient, r"no_gradient has no gradient; write it as no_gradient\(theta, \.\.\., grad"),
        (gradient_first, r"gradient_first has 'theta' after grad; grad comes last"),
        (eta_positional, r"eta_positional has 'eta' after grad; .* after a bare \*"),
        (star_args, r"star_args takes \*args or \*\*kwargs; name its slots"),
        (star_kwargs, r"star_kwargs takes \*args or \*\*kwargs; name its slots"),
        (no_slot, r"no_slot has no state slot; the first argument is theta"),
        (of_a_kind, r"of_a_kind got kind='plain', a text"),
        (unset, r"unset got eta=None, no number"),
        (heavy_ball, r"heavy_ball is no step; write def my_rule\(theta, \.\.\., grad"),
        ("heavy_ball", r"'heavy_ball' is no step"),
    ],
)
def test_what_is_no_rule_is_refused(step, sentence):
    before = dict(RULES)
    with pytest.raises(RuleError, match=sentence):
        rule(step)
    assert before == RULES
    assert {TypeError, ValueError} <= set(RuleError.__mro__)


@pytest.mark.parametrize(
    "first",
    [
        lambda theta, grad, *, eta, gamma: (theta,),
        lambda theta, b, grad, *, eta, gamma: (theta, b),
        lambda theta, v, grad, *, eta: (theta, v),
        lambda theta, v, grad, *, eta, gamma, nu: (theta, v),
    ],
)
def test_a_first_step_of_another_signature_is_refused(first):
    lone = Rule(heavy_ball.step)
    with pytest.raises(RuleError, match=r"first step of heavy_ball takes .* give it the body's arguments"):
        lone.first(first)
    assert not lone.has_first_step


@pytest.mark.parametrize(
    ("sentence", "values"),
    [
        ("a text; give a number, an array, a schedule or a symbol", ["0.5", b"0.5", [0.1, "a"]]),
        ("no number; give", [None, {"a": 1}, {0.1}, heavy_ball, float, iter([0.1]), ..., [0.1, None]]),
        ("no number; give", [np.array([0.5, None], object), np.array(["0.1"]), np.datetime64("2020")]),
        ("give finite numbers", [nan, -inf, [0.1, inf], np.float32("inf"), complex(0, nan), GRID * inf]),
        ("give finite numbers", [Decimal("nan"), Decimal("inf"), sympy.nan, -sympy.oo, sympy.zoo]),
        ("rows of several lengths; give an array", [[0.1, [0.2, 0.3]], [np.ones(2), np.ones(3)]]),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)
def test_a_value_that_is_none_is_refused(sentence, values):
    for value in values:
        for set_it in (heavy_ball.at, lambda eta: heavy_ball(1.0, 0.0, abs, eta=eta, gamma=0.9)):
            with pytest.raises(RuleError, match=rf"^heavy_ball got eta[\s\S]*{sentence}"):
                set_it(eta=value)


def test_a_step_count_is_whole_infinite_or_a_symbol():
    for t in (1, np.int64(7), 2**70, inf, sympy.oo, sympy.Symbol("t"), sympy.Integer(3)):
        assert r.bias_corrected.at(t=t).setting["t"] == t
    for t in (0, -1, 2.5, 3.0, True, nan, Fraction(3), Decimal(3), [1, 2], GRID, abs):
        with pytest.raises(RuleError, match=r"got t=.*; give the step it is at, a whole number from 1 on"):
            r.bias_corrected.at(t=t)


@pytest.mark.parametrize(
    ("letters", "sentence"),
    [
        ({"eta": 0.1}, r"heavy_ball\(eta=0\.1\) leaves gamma open; set it with \.at\(gamma=\.\.\.\)"),
        ({}, r"heavy_ball leaves eta and gamma open; set it with \.at\(eta=\.\.\., gamma=\.\.\.\)"),
        ({"eta": 0.1, "gama": 0.9}, r"no hyper-parameter 'gama'; did you mean gamma"),
        ({"eta": 0.1, "gamma": lambda t: 0.9}, r"changes from step to step; call it with t=\.\.\., 1 on"),
        ({"eta": 0.1, "gamma": lambda t: None, "t": 1}, r"heavy_ball got gamma=None"),
        ({"eta": [0.1, 0.2], "gamma": 0.9}, r"got eta=\(0\.1, 0\.2\); one step computes with np\.array"),
    ],
)
def test_a_call_at_no_setting_is_refused(letters, sentence):
    with pytest.raises(RuleError, match=sentence):
        heavy_ball(1.0, 0.0, lambda x: x, **letters)


def test_a_call_with_the_wrong_arguments_or_slots_is_refused():
    for args in ((1.0,), (1.0, 0.0), (1.0, 0.0, 2.0), (1.0, abs), (1.0, 0.0, 0.0, abs)):
        with pytest.raises(RuleError, match=r"called as heavy_ball\(theta, v, grad, \.\.\.\) with"):
            heavy_ball(*args, eta=0.1, gamma=0.9)
    for returned in ((1.0,), [1.0, 2.0, 3.0], 1.0, None):
        wrong = Rule(lambda *args, eta, back=returned: back, slots="bv", hyper=["eta"], name="wrong")
        with pytest.raises(RuleError, match=r"wrong returned [013] values for its 2 slots \('b', 'v'\)"):
            wrong(1.0, 0.0, abs, eta=0.1)
    with pytest.raises(RuleError, match=r"returned 0 values for its 1 slots"):
        Rule(lambda theta, grad: None)(1.0, abs)
