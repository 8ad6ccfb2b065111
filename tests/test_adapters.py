"""A rule at the edge of another library takes the steps it takes here, and says what it cannot do."""

import numpy as np
import pytest

from momentum_lib import (
    RULES,
    Quadratic,
    RuleError,
    as_optax,
    as_pepit,
    as_scipy_method,
    as_torch,
    clipped,
    gradient_descent,
    heavy_ball,
    linear_ramp,
    nesterov,
    nesterov_sequence,
    published,
    rule,
    run,
    torch_sgd,
    triple_momentum,
)

TOLERANCE = 1e-12
STEPS = 40
BOWL = Quadratic([0.05, 0.4, 1.0], rotation=1, minimizer=[1.0, -2.0, 0.5])
MATRIX = np.stack([BOWL.grad(BOWL.minimizer + e) for e in np.eye(3)])
START = np.array([0.3, 0.2, -0.1])

#: One setting for each letter of the literature; every rule converges or wanders, none explodes.
LETTERS = {
    "eta": 0.3, "gamma": 0.8, "alpha": 0.4, "beta": 0.6, "nu": 0.7, "delta": 0.2, "kappa": 50.0, "xi": 3.0,
    "eta1": 0.3, "eta2": 0.02, "c": 0.3, "mu": 0.05, "L": 1.0, "q": 0.05, "k_p": 0.1, "k_i": 0.2, "k_d": 0.3,
    "beta1": 0.6, "beta3": 0.9, "k": 0.5,
}  # fmt: skip


@rule
def students_own(theta, v, w, grad, *, eta, gamma):
    """A rule nobody has published: two velocities, half a look-ahead, as a student would write it."""
    g = grad(theta - gamma * v / 2)
    v = gamma * v + eta * g
    w = gamma**2 * w + eta * g / 2
    return theta - v - w, v, w


RULES.pop("students_own")  # the contract over the registry is for the shipped ones
ALL = [*RULES.values(), students_own]
FIXED = [r.at(**{name: LETTERS[name] for name in r.free}) for r in ALL]
FIXED += [torch_sgd.at(eta=0.3, gamma=0.8, dampening=0.5, weight_decay=0.1)]
SCHEDULED = [
    nesterov.at(eta=linear_ramp(0.05, 0.3, steps=10), gamma=nesterov_sequence()),
    nesterov.at(eta=0.3, gamma=lambda t: 0.9 - 0.5 / t),
]


def apart(ours, theirs):
    assert np.abs(ours[-1] - ours[0]).max() > 0.01, "nothing moved"
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())


# --- every edge -------------------------------------------------------------------------------------


@pytest.fixture
def jax():
    pytest.importorskip("optax", reason="optax is not installed (extra learning)")
    import jax

    with jax.enable_x64(True):
        yield jax


def quadratic_loss(array):
    matrix, minimizer = array(MATRIX), array(BOWL.minimizer)
    return lambda x: (x - minimizer) @ matrix @ (x - minimizer) / 2


def torch_iterates(make):
    import torch

    theta = torch.tensor(START, requires_grad=True)
    optimizer, loss = make([theta]), quadratic_loss(torch.tensor)

    def evaluate():
        optimizer.zero_grad()
        value = loss(theta)
        value.backward()
        return value

    rows = [START]
    for _ in range(STEPS):
        optimizer.step(evaluate)
        rows.append(theta.detach().numpy().copy())
    return np.array(rows)


def optax_iterates(transformation, grad_fn=True):
    import jax
    import optax

    gradient = jax.grad(quadratic_loss(jax.numpy.asarray))
    theta = jax.numpy.asarray(START)
    state = transformation.init(theta)
    extra = {"grad_fn": gradient} if grad_fn else {}

    @jax.jit
    def step(state, theta):
        updates, state = transformation.update(gradient(theta), state, theta, **extra)
        return state, optax.apply_updates(theta, updates)

    rows = [START]
    for _ in range(STEPS):
        state, theta = step(state, theta)
        rows.append(np.array(theta))
    return np.array(rows)


def minimize(method, **more):
    from scipy.optimize import minimize

    return minimize(BOWL.value, START, **{"jac": BOWL.grad} | more, method=method)


def scipy_iterates(method):
    rows, options = [START], {"maxiter": STEPS, "tol": 0.0}
    found = minimize(method, callback=lambda x: rows.append(x), options=options)
    assert (found.nit, found.status, found.success) == (STEPS, 1, False)
    assert np.array_equal(found.x, rows[-1]) and found.fun == BOWL.value(found.x)
    return np.array(rows)


class Oracle:
    """A stand-in for a function: PEPit's points, and vectors in the same arithmetic, move alike."""

    gradient = staticmethod(BOWL.grad)


ITERATES = {
    "torch": lambda r: torch_iterates(as_torch(r)),
    "optax": lambda r: optax_iterates(as_optax(r)),
    "scipy": lambda r: scipy_iterates(as_scipy_method(r)),
    "PEPit": lambda r: np.array(as_pepit(r)(Oracle, START, STEPS)),
}


@pytest.mark.parametrize("r", FIXED + SCHEDULED, ids=repr)
@pytest.mark.parametrize("edge", ITERATES)
def test_an_edge_takes_the_steps_of_run(edge, r, request):
    """First steps, schedules and t included: t is 1 on the first step."""
    pytest.importorskip(edge)
    if edge == "optax":
        request.getfixturevalue("jax")
    assert apart(run(r, BOWL.grad, START, STEPS).theta, ITERATES[edge](r)) <= TOLERANCE


@pytest.mark.parametrize("edge", ITERATES)
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (heavy_ball.at(eta=0.1), r"heavy_ball\(eta=0.1\) leaves gamma open; set it with .at\(gamma=...\)"),
        (heavy_ball.at(eta=0.1, gamma=0.9, t=3), "frozen at t=3, and a run counts itself; leave t out"),
        (gradient_descent.at(eta=[0.1, 0.2]), r"eta is \(0.1, 0.2\); give one number"),
        (gradient_descent.at(eta=np.array([0.1])), r"eta is array\(\[0.1\]\); give one number"),
        (gradient_descent.at(eta=0.9j), "eta is 0.9j; give one number"),
        (heavy_ball.step, "is not a rule; decorate the step with @rule"),
        ("heavy_ball", r"'heavy_ball' is a name, not a rule; take RULES\[\"heavy_ball\"\]"),
    ],
    ids=["open", "frozen", "list", "array", "complex", "function", "text"],
)
def test_what_an_edge_cannot_take_is_refused(edge, given, sentence):
    pytest.importorskip(edge)
    with pytest.raises(RuleError, match=sentence):
        ITERATES[edge](given)


# --- PEPit ------------------------------------------------------------------------------------------


@pytest.fixture
def convex():
    """A function and a starting point of PEPit's."""
    pep = pytest.importorskip("PEPit", reason="PEPit is not installed (extra worst-cases)")
    from PEPit.functions import SmoothConvexFunction

    problem = pep.PEP()
    return problem.declare_function(SmoothConvexFunction, L=1.0), problem.set_initial_point()


def worst(r, steps, mu, L, condition):
    """PEPit's worst f(theta_steps) - f* over functions between mu and L."""
    from PEPit import PEP
    from PEPit.functions import SmoothStronglyConvexFunction

    problem = PEP()
    f = problem.declare_function(SmoothStronglyConvexFunction, mu=mu, L=L)
    minimizer, start = f.stationary_point(), problem.set_initial_point()
    distance, gap = (start - minimizer) ** 2, f(start) - f(minimizer)
    problem.set_initial_condition(condition(distance, gap) <= 1)
    theta = as_pepit(r)(f, start, steps)
    assert len(theta) == steps + 1
    problem.set_performance_metric(f(theta[-1]) - f(minimizer))
    return problem.solve(solver="CLARABEL", verbose=0, tol_gap_abs=1e-7, tol_gap_rel=1e-7, tol_feas=1e-7)


Q = 0.1**0.5
RHO = 1 - Q
TRIPLE = {
    "alpha": 1 + RHO,
    "beta": RHO**2 / (2 - RHO),
    "gamma": RHO**2 / ((1 + RHO) * (2 - RHO)),
    "delta": RHO**2 / (1 - RHO**2),
}


@pytest.mark.parametrize(
    ("id", "r", "steps", "mu", "L", "condition"),
    [
        ("gradient-descent", gradient_descent.at(eta=1 / 3), 4, 0.0, 3.0, lambda d, gap: d),
        ("heavy-ball", heavy_ball.at(eta=0.5, gamma=(0.95 * 0.5) ** 0.5), 2, 0.1, 1.0, lambda d, gap: gap),
        ("nesterov", nesterov.at(eta=1, gamma=(1 - Q) / (1 + Q)), 2, 0.1, 1.0, lambda d, gap: gap + 0.05 * d),
        ("nesterov-convex", nesterov.at(eta=1, gamma=nesterov_sequence()), 1, 0.0, 1.0, lambda d, gap: d),
        ("triple-momentum", triple_momentum.at(**TRIPLE), 4, 0.1, 1.0, lambda d, gap: d),
    ],
)
def test_pepit_gives_the_printed_worst_cases(id, r, steps, mu, L, condition):
    """Tight, all of them: each value is what the solver finds, as PEPit prints it for its own loops."""
    pytest.importorskip("PEPit", reason="PEPit is not installed (extra worst-cases)")
    entry = published.entries()[f"pepit/{id}"]
    assert abs(worst(r, steps, mu, L, condition) - entry.value) <= entry.tolerance


def test_pepit_runs_every_linear_rule_on_its_points(convex):
    for r in FIXED:
        assert len(as_pepit(r)(*convex, 3)) == 4


def test_pepit_refuses_what_its_points_cannot_carry(convex):
    r = clipped(heavy_ball).at(eta=0.1, gamma=0.5, threshold=1.0)
    with pytest.raises(RuleError, match="clipped.* does more than add and scale points"):
        as_pepit(r)(*convex, 1)
    with pytest.raises(ValueError, match="steps is 1.5; give a whole number of at least 0"):
        as_pepit(gradient_descent.at(eta=0.1))(*convex, 1.5)
