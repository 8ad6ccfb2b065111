"""Laws that hold for every linear rule, at settings nobody chose."""

import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import momentum_lib as m
from momentum_lib.definition import Rule

unit = st.floats(0.05, 0.95)
whole = st.integers(1, 40)
#: A name, and what its letters may be: stable for curvatures up to 1 or not, both are wanted.
LINEAR = {
    "gradient_descent": {"eta": st.floats(0.05, 2.5)},
    "heavy_ball": {"eta": st.floats(0.05, 4), "gamma": unit},
    "nesterov": {"eta": st.floats(0.05, 2), "gamma": unit},
    "ema": {"eta": st.floats(0.05, 4), "gamma": unit},
    "torch_sgd": {"eta": unit, "gamma": unit, "dampening": unit, "weight_decay": st.floats(0, 0.3)},
    "keras_nesterov": {"eta": unit, "gamma": unit, "weight_decay": st.floats(0, 0.3)},
    "qhm": {"alpha": st.floats(0.05, 3), "beta": unit, "nu": unit},
    "bias_corrected": {"eta": st.floats(0.01, 0.3), "gamma": unit},
    "aggregated": {"eta": st.floats(0.05, 3)},
    "robust_momentum": {"alpha": st.floats(0.05, 2), "beta": unit, "gamma": unit},
    "optimistic_gradient": {"eta": st.floats(0.05, 1), "gamma": unit},
    "ema_mixture": {"eta": unit, "alpha": st.floats(0, 5), "beta1": unit, "beta3": unit},
    "averaged_heavy_ball": {"eta": st.floats(0.05, 4), "gamma": unit, "k": st.floats(0, 8)},
    "schedule_free": {"eta": st.floats(0.05, 4), "beta": unit},
    "pid": {"k_p": unit, "k_i": unit, "k_d": unit, "beta": unit},
}
ROT = st.integers(0, 2**32 - 1)
slow = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@st.composite
def at_a_setting(draw, names=tuple(LINEAR)):
    name = draw(st.sampled_from(names))
    return m.RULES[name].at(**{letter: draw(values) for letter, values in LINEAR[name].items()})


def close(a, b, tol=1e-9):
    scale = max(np.abs(a).max(), np.abs(b).max(), 1e-300)
    np.testing.assert_allclose(a, b, rtol=0, atol=tol * scale)


def without_decay(rule):
    """Translation moves the minimizer, and a rule that shrinks theta by itself knows where 0 is."""
    return rule.at(weight_decay=0.0) if "weight_decay" in rule.hyper else rule


def path(rule, problem, theta0, steps=20):
    return m.run(rule, problem.grad, theta0, steps).theta


def drawn(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@slow
@given(at_a_setting(), ROT)
def test_runs_superpose(rule, seed):
    a, b = drawn(seed, 2, 3)
    quadratic = m.Quadratic([1.0, 0.3, 0.01])
    close(path(rule, quadratic, 2 * a - b), 2 * path(rule, quadratic, a) - path(rule, quadratic, b))


@slow
@given(at_a_setting(), ROT)
def test_runs_rotate_with_their_problem(rule, seed):
    turn = np.linalg.qr(drawn(seed, 3, 3))[0]
    lam, theta0 = np.array([1.0, 0.3, 0.01]), drawn(seed + 1, 3)
    turned = m.run(rule, lambda x: turn @ (lam * (turn.T @ x)), turn @ theta0, 20).theta
    close(turned, path(rule, m.Quadratic(lam), theta0) @ turn.T)


@slow
@given(at_a_setting(), ROT)
def test_runs_move_with_their_minimizer(rule, seed):
    rule, (shift, theta0) = without_decay(rule), drawn(seed, 2, 3)
    lam = np.array([1.0, 0.3, 0.01])
    moved = m.run(rule, lambda x: lam * (x - shift), theta0 + shift, 20).theta
    # Rounding is that of points as far out as the shift.
    straight = m.run(rule, lambda x: lam * x, theta0, 20).theta
    np.testing.assert_allclose(moved - shift, straight, rtol=0, atol=1e-8 * (1 + np.abs(straight).max()))


@slow
@given(at_a_setting(), st.floats(0.1, 10))
def test_the_unit_of_theta_changes_nothing_and_that_of_f_is_undone_by_the_step(rule, unit):
    rule = without_decay(rule)
    quadratic, theta0 = m.Quadratic([1.0, 0.3]), np.array([1.0, -2.0])
    straight = path(rule, quadratic, theta0)
    close(path(rule, quadratic, unit * theta0), unit * straight)
    letters = {name: rule.setting[name] / unit for name in rule.step_letters}
    close(m.run(rule.at(**letters), lambda x: unit * quadratic.grad(x), theta0, 20).theta, straight)


@slow
@given(st.sampled_from(sorted(LINEAR)), st.data())
def test_a_grid_is_a_loop(name, data):
    rows = [{k: data.draw(v) for k, v in LINEAR[name].items()} for _ in range(3)]
    grid = m.RULES[name].at(**{k: [row[k] for row in rows] for k in rows[0]})
    quadratic = m.Quadratic([1.0, 0.3])
    whole = m.run(grid, quadratic.grad, np.array([1.0, -2.0]), 15).theta
    radii, limits = m.spectral_radius(grid, 0.5), m.stability_limit(grid)
    for k, row in enumerate(rows):
        alone = m.RULES[name].at(**row)
        close(whole[:, k], path(alone, quadratic, np.array([1.0, -2.0]), 15), 1e-13)
        assert radii[k] == pytest.approx(m.spectral_radius(alone, 0.5), rel=1e-12)
        assert limits[k] == pytest.approx(m.stability_limit(alone), rel=1e-9)


@slow
@given(at_a_setting(), whole, whole, ROT)
def test_resume_is_the_run_that_was_never_interrupted(rule, steps, more, seed):
    noisy = m.Noisy(m.Quadratic([1.0, 0.3]), 0.1)
    straight = m.run(rule, noisy, np.ones(2), steps + more, rng=seed)
    halves = m.run(rule, noisy, np.ones(2), steps, rng=seed).resume(more)
    np.testing.assert_array_equal(halves.theta, straight.theta)
    for slot in rule.slots:
        np.testing.assert_array_equal(halves.state[slot], straight.state[slot])


@slow
@given(at_a_setting(), whole, whole)
def test_time_goes_on_from_a_checkpoint(rule, steps, more):
    quadratic, ramp = m.Quadratic([1.0, 0.3]), m.linear_ramp(0.5, 1.0, 30)
    letter = rule.hyper[0]
    rule = rule.at(**{letter: lambda t, top=rule.setting[letter]: top * ramp(t)})
    straight = path(rule, quadratic, np.ones(2), steps + more)
    first = m.run(rule, quadratic.grad, np.ones(2), steps)
    later = m.run(rule, quadratic.grad, None, more, start=first.state, t0=steps)
    np.testing.assert_array_equal(later.theta, straight[steps:])


@slow
@given(at_a_setting(), ROT, st.integers(0, 60))
def test_the_closed_form_is_the_run(rule, seed, steps):
    quadratic = m.Quadratic(matrix=[[1.0, 0.2], [0.2, 0.4]], linear=drawn(seed, 2))
    theta0 = drawn(seed + 1, 2)
    close(m.closed_form(rule, quadratic, theta0, steps), path(rule, quadratic, theta0, steps), 1e-8)


@slow
@given(at_a_setting(), ROT, st.floats(1e-6, 0.9), st.integers(0, 300))
def test_hitting_and_settling_are_what_stepping_finds(rule, seed, tol, cap):
    lam, theta0 = np.array([1.0, 0.2]), drawn(seed, 2)
    with np.errstate(all="ignore"):
        size = np.linalg.norm(path(rule, m.Quadratic(lam), theta0, cap), axis=-1) / np.linalg.norm(theta0)
    assume(not (np.abs(size - tol) < 1e-9 * tol).any())
    inside = size <= tol
    hit = np.flatnonzero(inside)[0] if inside.any() else np.inf
    outside = np.flatnonzero(~inside)
    settled = 0 if not outside.size else np.inf if outside[-1] == cap else outside[-1] + 1
    assert m.hitting_time(rule, lam, theta0, tol, cap) == hit
    assert m.settling_time(rule, lam, theta0, tol, cap) == settled


@st.composite
def polynomials(draw):
    """Monic, of degree 2 to 4, mostly near the border: roots drawn in radius and angle, then rounded."""
    degree = draw(st.integers(2, 4))
    roots = []
    while len(roots) < degree:
        radius = draw(st.floats(0.3, 1.3))
        if degree - len(roots) > 1 and draw(st.booleans()):
            angle = draw(st.floats(0.1, 3.0))
            roots += [radius * np.exp(1j * angle), radius * np.exp(-1j * angle)]
        else:
            roots.append(radius * draw(st.sampled_from((1, -1))))
    return [sympy.Rational(round(c * 1000), 1000) for c in np.poly(roots).real[1:]]


@slow
@given(polynomials())
def test_jury_judges_as_the_eigenvalues_do(low):
    size = len(low)

    def companion(*state_and_grad):
        *state, grad = state_and_grad
        top = -sum((c * s for c, s in zip(low, state, strict=True)), 0 * grad(state[0]))
        return (top, *state[:-1])

    rule = Rule(companion, slots=[f"s{k}" for k in range(size)], hyper=(), name="companion")
    radius = np.abs(np.roots([1.0, *map(float, low)])).max()
    assume(abs(radius - 1) > 1e-6 and low[-1] != 0)
    judged = all(condition == sympy.true for condition in m.jury_conditions(rule))
    assert judged == (radius < 1), (low, m.jury_conditions(rule))


ETA, GAMMA = sympy.symbols("eta gamma")
WORN = [rule.at(gamma=GAMMA) for rule in (m.heavy_ball, m.ema, m.polyak_two_step, m.torch_sgd, m.keras_sgd)]
WORN += [rule.at(gamma=GAMMA) for rule in (m.nesterov, m.torch_nesterov, m.keras_nesterov, m.bias_corrected)]
WORN = [rule.at(eta=ETA / (1 - GAMMA) if rule.base is m.ema else ETA) for rule in WORN]


def test_equivalence_is_reflexive_symmetric_and_transitive():
    same = np.array([[bool(m.equivalent(a, b)) for b in WORN] for a in WORN])
    assert same.diagonal().all()
    np.testing.assert_array_equal(same, same.T)
    np.testing.assert_array_equal(same, (same.astype(int) @ same) > 0)
    assert same[0].sum() == 5 and not same[0, 5:].any()  # heavy ball's family, and nobody else


TO = [m.ema, m.torch_sgd, m.keras_sgd, m.polyak_two_step, m.primal_average, m.qhm]


@slow
@given(st.floats(1e-3, 3), unit, st.sampled_from(TO), whole, ROT)
def test_a_conversion_comes_back_and_so_does_a_state(eta, gamma, to, steps, seed):
    ball = m.heavy_ball.at(eta=eta, gamma=gamma)
    there = m.convert(ball, to)
    back = m.convert(there, m.heavy_ball)
    assert dict(back.setting) == pytest.approx(dict(ball.setting), rel=1e-12)
    state = {"theta": drawn(seed, 2), "v": eta * drawn(seed + 1, 2)}
    again = m.convert_state(there, m.heavy_ball, m.convert_state(ball, to, state))
    for slot, value in state.items():
        close(again[slot], value, 1e-8)
