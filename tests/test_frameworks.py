"""PyTorch, Keras and optax take the steps of the rules that bear their names, flag by flag."""

import functools
import importlib.util
import itertools
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from momentum_lib import (
    bias_corrected,
    ema,
    heavy_ball,
    keras_nesterov,
    keras_sgd,
    nesterov,
    run,
    torch_nesterov,
    torch_sgd,
)

HELPER = Path(__file__).with_name("frameworks_keras.py")
SHARED = runpy.run_path(str(HELPER))
PROBLEMS, START, STEPS, ETA, GAMMAS, DECAYS, DATA, LABELS, grad, iterates, difference = (
    SHARED[name]
    for name in "PROBLEMS START STEPS ETA GAMMAS DECAYS DATA LABELS grad iterates difference".split()
)
TOLERANCE = 1e-12


def assert_equal(name, cells):
    """Every cell of the grid within the tolerance."""
    assert not {cell: d for cell, d in cells.items() if not d <= TOLERANCE}, name


def test_the_grid_moves_and_stays_finite():
    """What is compared is a journey that leaves its start, not the finite numbers; each flag tells."""
    for gamma in GAMMAS:
        theta = iterates(torch_sgd.at(gamma=gamma))
        assert np.abs(theta).max() < 10
        for problem, at in PROBLEMS.values():
            assert np.abs(theta[-1, at] - theta[0, at]).max() > 0.01, problem
    plain = iterates(torch_sgd.at(gamma=0.9))
    for flags in ({"weight_decay": 0.05}, {"dampening": 0.5}):
        assert difference(plain, iterates(torch_sgd.at(gamma=0.9, **flags))) > 1e-5
    assert difference(plain, iterates(torch_nesterov.at(gamma=0.9))) > 1e-5


# --- PyTorch ------------------------------------------------------------------------------------------


@functools.cache
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed (extra frameworks)")


def torch_iterates(loss=None, **flags):
    """PyTorch's iterates; the gradient comes from our oracle, or by autograd from `loss`."""
    theta = torch().tensor(START, requires_grad=True)
    optimizer = torch().optim.SGD([theta], lr=ETA, **flags)
    rows = [START]
    for _ in range(STEPS):
        optimizer.zero_grad()
        if loss:
            loss(theta).backward()
        else:
            theta.grad = torch().from_numpy(grad(rows[-1]))
        optimizer.step()
        rows.append(theta.detach().numpy().copy())
    return np.array(rows)


def test_torch_sgd():
    """Dampening at momentum 0 is left out: PyTorch ignores it there (see the next test)."""
    assert_equal(
        "torch.optim.SGD",
        {
            (gamma, dampening, decay): difference(
                iterates(torch_sgd.at(gamma=gamma, dampening=dampening, weight_decay=decay)),
                torch_iterates(momentum=gamma, dampening=dampening, weight_decay=decay),
            )
            for gamma, decay in itertools.product(GAMMAS, DECAYS)
            for dampening in sorted({0.0, 0.5, gamma} if gamma else {0.0})
        },
    )


def test_torch_ignores_dampening_at_momentum_0_and_the_card_says_so():
    theirs = torch_iterates(momentum=0.0, dampening=0.5)
    assert difference(iterates(torch_sgd.at(gamma=0.0)), theirs) <= TOLERANCE
    told = torch_sgd.card["Not to be confused with"]
    assert "At momentum 0 PyTorch keeps no buffer and ignores dampening" in told


def test_torch_nesterov():
    assert_equal(
        "torch.optim.SGD, nesterov=True",
        {
            (gamma, decay): difference(
                iterates(torch_nesterov.at(gamma=gamma, weight_decay=decay)),
                torch_iterates(momentum=gamma, weight_decay=decay, nesterov=True),
            )
            for gamma, decay in itertools.product(GAMMAS[1:], DECAYS)
        },
    )


@pytest.mark.parametrize(
    ("gamma", "dampening"), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.9, 0.9), (0.99, 0.5)]
)
def test_torch_refuses_nesterov_with_momentum_0_or_dampening(gamma, dampening):
    with pytest.raises(ValueError, match="Nesterov momentum requires a momentum and zero dampening"):
        torch_iterates(momentum=gamma, dampening=dampening, nesterov=True)


@pytest.mark.parametrize("gamma", GAMMAS[1:])
def test_the_sources_forms_are_torch_at_a_constant_learning_rate(gamma):
    """Heavy ball takes PyTorch's steps; Nesterov's look-ahead is what PyTorch reports."""
    assert difference(iterates(heavy_ball.at(gamma=gamma)), torch_iterates(momentum=gamma)) <= TOLERANCE
    theirs = torch_iterates(momentum=gamma, nesterov=True)
    ours = run(nesterov.at(eta=ETA, gamma=gamma), grad, START, STEPS)
    assert difference(ours.queries, theirs[:-1]) <= TOLERANCE
    assert difference(ours.theta, theirs) > 1e-5


# --- the same with the framework's own gradients -------------------------------------------------------

QUADRATIC = PROBLEMS["quadratic"][0]
MATRIX = np.stack([QUADRATIC.grad(QUADRATIC.minimizer + e) for e in np.eye(3)])
SIGNED = DATA * np.where(LABELS, 1.0, -1.0)[:, None]


def write_loss(array, softplus):
    """The sum of the three problems, written for automatic differentiation."""
    matrix, minimizer, signed = array(MATRIX), array(QUADRATIC.minimizer), array(SIGNED)

    def loss(theta):
        x, y, z = theta[:3] - minimizer, theta[3:5], theta[5:]
        rosenbrock = (1 - y[0]) ** 2 + 100 * (y[1] - y[0] ** 2) ** 2
        return x @ matrix @ x / 2 + rosenbrock + softplus(-signed @ z).mean() + z @ z / 2

    return loss


def test_torch_with_its_own_gradients():
    loss = write_loss(torch().tensor, torch().nn.functional.softplus)
    flags = {"dampening": 0.5, "weight_decay": 0.05}
    cells = {
        "sgd": difference(
            iterates(torch_sgd.at(gamma=0.9, **flags)), torch_iterates(loss, momentum=0.9, **flags)
        ),
        "nesterov": difference(
            iterates(torch_nesterov.at(gamma=0.9)), torch_iterates(loss, momentum=0.9, nesterov=True)
        ),
    }
    assert_equal("torch.optim.SGD with autograd", cells)


# --- optax --------------------------------------------------------------------------------------------


@pytest.fixture
def optax():
    library = pytest.importorskip("optax", reason="optax is not installed (extra learning)")
    import jax

    with jax.enable_x64(True):
        yield library


def optax_iterates(transformation, gradient=grad):
    """Iterates of an optax transformation, the gradient from our oracle or given."""
    import jax

    theta = jax.numpy.asarray(START)
    state = transformation.init(theta)

    @jax.jit
    def step(gradient, state, theta):
        updates, state = transformation.update(gradient, state, theta)
        return state, theta + updates

    rows = [START]
    for _ in range(STEPS):
        state, theta = step(gradient(rows[-1]), state, theta)
        rows.append(np.array(theta))
    return np.array(rows)


@pytest.mark.parametrize("look_ahead", [False, True], ids=["plain", "nesterov"])
def test_optax_sgd(optax, look_ahead):
    """With decay coupled (before the trace) optax is PyTorch; decoupled (after it) it is Keras."""

    def coupled(gamma, decay):
        return optax.chain(optax.add_decayed_weights(decay), optax.sgd(ETA, gamma, nesterov=look_ahead))

    def decoupled(gamma, decay):
        trace = optax.trace(gamma, nesterov=look_ahead)
        return optax.chain(trace, optax.add_decayed_weights(decay), optax.scale(-ETA))

    cells = {}
    for gamma, decay in itertools.product(GAMMAS, DECAYS):
        for make, rule in (
            (coupled, torch_nesterov if look_ahead else torch_sgd),
            (decoupled, keras_nesterov if look_ahead else keras_sgd),
        ):
            theirs = optax_iterates(make(gamma, decay))
            ours = iterates(rule.at(gamma=gamma, weight_decay=decay))
            cells[make.__name__, gamma, decay] = difference(ours, theirs)
    assert_equal(f"optax, nesterov={look_ahead}", cells)


def test_optax_ema(optax):
    """optax's average is ema; with its bias correction it is bias_corrected at eta (1 - gamma)."""
    cells = {}
    for gamma, debias in itertools.product(GAMMAS, (False, True)):
        theirs = optax_iterates(optax.chain(optax.ema(gamma, debias=debias), optax.scale(-ETA)))
        rule = bias_corrected.at(eta=ETA * (1 - gamma)) if debias else ema.at(eta=ETA)
        cells[gamma, debias] = difference(run(rule.at(gamma=gamma), grad, START, STEPS).theta, theirs)
    assert_equal("optax.ema", cells)


def test_optax_with_gradients_of_jax(optax):
    import jax

    gradient = jax.jit(jax.grad(write_loss(jax.numpy.asarray, jax.nn.softplus)))
    cells = {
        look_ahead: difference(
            iterates(rule.at(gamma=0.9)), optax_iterates(optax.sgd(ETA, 0.9, nesterov=look_ahead), gradient)
        )
        for look_ahead, rule in ((False, torch_sgd), (True, torch_nesterov))
    }
    assert_equal("optax.sgd with jax.grad", cells)


# --- Keras --------------------------------------------------------------------------------------------


def keras_cells(backend):
    """The differences of every cell, found in a process of its own."""
    for library in ("keras", backend):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed (extra frameworks)")
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, str(HELPER)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["backend"] == backend
    assert len(answer["cells"]) == 16
    return answer["cells"]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_keras_sgd(backend):
    assert_equal(f"keras.optimizers.SGD on {backend}", keras_cells(backend))


def test_keras_sgd_on_tensorflow():
    """On TensorFlow Keras passes momentum through float32, in float64 too; 0 and 1/2 survive that."""
    cells = keras_cells("tensorflow")
    assert not {cell: d for cell, d in cells.items() if not d <= 1e-6}
    assert {cell for cell, d in cells.items() if d > 1e-10} == {
        cell for cell in cells if cell.startswith("gamma=0.9")
    }, "the float32 passage is gone: hold TensorFlow to 1e-12 as well"
