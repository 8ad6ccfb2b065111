"""The workloads: what is asked, how large, and who else answers it.

Each function takes a size and gives the contestants, the library first; `WORKLOADS` says which sizes are run,
the first of them by the tests, and how near the answers have to be. Imports are inside: a peer that is not
installed is left out, by name.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.measure import Contest, peer

ROOT: Final = Path(__file__).resolve().parent.parent
OURS: Final = "momentum_lib"
JAX: Final = "momentum_lib on JAX"


class Workload(NamedTuple):
    """One question at some sizes."""

    title: str
    contest: Callable[[int], Contest]
    sizes: tuple[int, ...]
    rtol: float
    rounds: int = 7


def grid(size: int, etas: tuple[float, float], gammas: tuple[float, float] = (0.0, 0.99)) -> Any:
    """A map of (size, size) settings."""
    return np.meshgrid(np.linspace(*etas, size), np.linspace(*gammas, size))


def optax_scan(eta: Any, gamma: Any, grad: Any, start: Any, steps: int, see: Any = None) -> Any:
    """optax.sgd under jit: the last iterate, and what `see` tells of every one."""
    import jax
    import optax

    optimizer = optax.sgd(eta, gamma)

    def step(carry: Any, _: Any) -> Any:
        theta, state = carry
        update, state = optimizer.update(grad(theta), state)
        theta = optax.apply_updates(theta, update)
        return (theta, state), None if see is None else see(theta)

    @jax.jit
    def scan(theta: Any) -> Any:
        (theta, _), seen = jax.lax.scan(step, (theta, optimizer.init(theta)), length=steps)
        return theta if see is None else seen

    return lambda: np.asarray(scan(start))


# --- B1, B2: maps of quadratics ---------------------------------------------------------------------


def hitting(size: int, cap: int = 2000) -> Contest:
    """First step within 1e-6 of heavy ball on the eigenvalues 1 and 100."""
    from momentum_lib import heavy_ball, hitting_time

    eta, gamma = grid(size, (1e-4, 0.05))
    lam = np.array([1.0, 100.0])
    rule = heavy_ball.at(eta=eta, gamma=gamma)
    contest: Contest = {OURS: lambda: hitting_time(rule, lam, 1.0, 1e-6, cap)}
    with peer("numba"):
        from benchmarks import peers

        flat = eta.ravel(), gamma.ravel()
        contest["numba by hand"] = lambda: peers.hitting(*flat, lam, 1e-6, cap).reshape(eta.shape)
    if cap <= 2000:
        with peer("optax"):
            import jax.numpy as jnp

            hand = functools.partial(jnp.where, True)  # keeps arrays on JAX
            far = optax_scan(
                hand(eta[..., None], 0), hand(gamma[..., None], 0), lambda x: lam * x,
                jnp.ones((*eta.shape, 2)), cap, lambda x: (x * x).sum(-1) <= 2e-12,
            )  # fmt: skip

            def first() -> Any:
                hits = far()
                return np.where(hits.any(0), hits.argmax(0) + 1.0, np.inf)

            contest["optax under jit"] = first
    return contest


def settling(size: int) -> Contest:
    """The step from which heavy ball stays within 1e-6."""
    from momentum_lib import heavy_ball, settling_time

    eta, gamma = grid(size, (1e-4, 0.05))
    rule = heavy_ball.at(eta=eta, gamma=gamma)
    return {OURS: lambda: settling_time(rule, [1.0, 100.0], 1.0, 1e-6, 200_000)}


def radius(size: int) -> Contest:
    """Heavy ball's spectral radius on a map."""
    from momentum_lib import heavy_ball, iteration_matrix, spectral_radius

    eta, gamma = grid(size, (0.0, 4.0), (0.0, 1.0))
    rule = heavy_ball.at(eta=eta, gamma=gamma)
    contest: Contest = {OURS: lambda: spectral_radius(rule, 1.0)}
    with peer("numba"):
        from benchmarks import peers

        contest["numba by hand"] = lambda: peers.radius(eta.ravel(), gamma.ravel(), 1.0).reshape(eta.shape)
    if size <= 400:
        matrix = iteration_matrix(rule, 1.0)
        contest["np.linalg.eigvals"] = lambda: np.abs(np.linalg.eigvals(matrix)).max(axis=-1)
    return contest


def radius_of_many_slots(size: int, slots: int) -> Contest:
    """The radius of Aggregated Momentum with two or three velocities on a map."""
    from momentum_lib import aggregated, iteration_matrix, spectral_radius

    gammas = (0.0, 0.9, 0.99)[: slots - 1]
    rule = aggregated(gammas).at(eta=np.linspace(0.0, 2.0, size))
    matrix = iteration_matrix(rule, 1.0)
    return {
        OURS: lambda: spectral_radius(rule, 1.0),
        "np.linalg.eigvals": lambda: np.abs(np.linalg.eigvals(matrix)).max(axis=-1),
    }


# --- B3, B4: noise ----------------------------------------------------------------------------------

ETA, GAMMA, SIGMA = 0.5, 0.9, 0.1
MODES: Final = np.geomspace(0.01, 1.0, 10)


def noisy(size: int) -> Contest:
    """Ten noisy modes of heavy ball, the noise given."""
    from scipy.signal import lfilter

    from momentum_lib import heavy_ball, noisy_run

    drawn = np.random.default_rng(0).standard_normal((size, 10))
    rule, pushes = heavy_ball.at(eta=ETA, gamma=GAMMA), SIGMA * drawn

    def filtered() -> Any:
        """A filter a mode; what is left of the start is a filtered pulse."""
        out = np.empty((size + 1, 10))
        for k, lam in enumerate(MODES):
            below = [1.0, ETA * lam - 1 - GAMMA, GAMMA]
            out[:, k] = lfilter([1.0, -GAMMA], below, np.eye(1, size + 1)[0])
            out[1:, k] += lfilter([-ETA], below, pushes[:, k])
        return out

    contest: Contest = {
        OURS: lambda: noisy_run(rule, MODES, SIGMA, 1.0, size, drawn, 10),
        "scipy.signal.lfilter": filtered,
    }
    with peer("numba"):
        from benchmarks import peers

        contest["numba by hand"] = lambda: peers.noisy(ETA, GAMMA, MODES, pushes)
    return contest


def noisy_drawn(size: int) -> Contest:
    """The same, and the noise drawn."""
    from momentum_lib import heavy_ball, noisy_run

    rule = heavy_ball.at(eta=ETA, gamma=GAMMA)
    contest: Contest = {OURS: lambda: noisy_run(rule, MODES, SIGMA, 1.0, size, 0, 10)}
    with peer("numba"):
        from benchmarks import peers

        def drawn_by_numpy() -> Any:
            pushes = SIGMA * np.random.default_rng(0).standard_normal((size, 10))
            return peers.noisy(ETA, GAMMA, MODES, pushes)

        contest["numba by hand"] = drawn_by_numpy
    return contest


def mean_square(size: int) -> Contest:
    """E theta² of heavy ball after every step, exactly and by 1,000 seeds (which agree to a tenth)."""
    from momentum_lib import heavy_ball, mean_square_curve

    rule = heavy_ball.at(eta=ETA, gamma=GAMMA)
    contest: Contest = {OURS: lambda: mean_square_curve(rule, 0.1, SIGMA, 1.0, size).square}
    with peer("numba"):
        from benchmarks import peers

        contest["numba by hand"] = lambda: peers.mean_square(ETA, GAMMA, 0.1, SIGMA, size)
        if size <= 100_000:  # minutes beyond
            contest["numba, 1,000 seeds"] = lambda: peers.sampled(ETA, GAMMA, 0.1, SIGMA, size, 1000)
    return contest


# --- B5: grids of descents --------------------------------------------------------------------------


def descent(size: int, name: str) -> Contest:
    """Heavy ball for 500 steps from one start over a map of settings, all of which stay finite."""
    import momentum_lib

    problem, steps = getattr(momentum_lib, name)(), 500
    start, most = {"Rosenbrock": ([-1.2, 1.0], 3e-4), "Beale": ([1.0, 1.0], 1e-3)}[name]
    eta, gamma = grid(size, (most / 100, most), (0.0, 0.9))
    rule = momentum_lib.heavy_ball.at(eta=eta, gamma=gamma)

    def last(theta0: Any) -> Any:
        made = momentum_lib.run(rule, problem.grad, theta0, steps, every=steps, record=())
        return np.asarray(made.state["theta"])

    contest: Contest = {OURS: lambda: last(np.array(start))}
    with peer("numba"):
        from benchmarks import peers

        blocks = peers.descend(getattr(peers, name.lower()))
        first = np.array(start)
        contest["numba by hand"] = lambda: blocks(eta.ravel(), gamma.ravel(), first, steps).reshape(
            *eta.shape, 2
        )
    with peer("jax"):
        import jax.numpy as jnp

        contest[JAX] = lambda: last(jnp.array(start))
    if size <= 200:
        with peer("optax"):
            import jax
            import jax.numpy as jnp

            many = jnp.broadcast_to(jnp.array(start), (*eta.shape, 2))
            letters = jnp.array(eta[..., None]), jnp.array(gamma[..., None])
            contest["optax under jit"] = optax_scan(*letters, problem.grad, many, steps)
            slope = {"Rosenbrock": _rosenbrock, "Beale": _beale}[name]

            @jax.jit
            @functools.partial(jax.vmap, in_axes=(0, 0))
            def by_hand(eta: Any, gamma: Any) -> Any:
                def step(carry: Any, _: Any) -> Any:
                    theta, v = carry
                    v = gamma * v + eta * jnp.stack(slope(theta[0], theta[1]))
                    return (theta - v, v), None

                return jax.lax.scan(step, (jnp.array(start), jnp.zeros(2)), length=steps)[0][0]

            contest["jax by hand"] = lambda: np.asarray(by_hand(eta.ravel(), gamma.ravel())).reshape(
                *eta.shape, 2
            )
        with peer("torch"):
            contest["torch by hand"] = functools.partial(_torch_descent, name, eta, gamma, start, steps)
    return contest


def _rosenbrock(x: Any, y: Any) -> Any:
    rise = y - x * x
    return -400 * x * rise - 2 * (1 - x), 200 * rise


def _beale(x: Any, y: Any) -> Any:
    y2 = y * y
    a, b, c = y - 1, y2 - 1, y2 * y - 1
    r, s, t = 1.5 + x * a, 2.25 + x * b, 2.625 + x * c
    return 2 * (r * a + s * b + t * c), 2 * x * (r + 2 * y * s + 3 * y2 * t)


def _torch_descent(name: str, eta: Any, gamma: Any, start: Any, steps: int) -> Any:
    import torch

    slope = {"Rosenbrock": _rosenbrock, "Beale": _beale}[name]
    eta, gamma = torch.as_tensor(eta), torch.as_tensor(gamma)
    x, y = (torch.full_like(eta, value) for value in start)
    vx, vy = torch.zeros_like(eta), torch.zeros_like(eta)
    for _ in range(steps):
        a, b = slope(x, y)
        vx.mul_(gamma).addcmul_(eta, a)
        vy.mul_(gamma).addcmul_(eta, b)
        x, y = x - vx, y - vy
    return torch.stack([x, y], -1).numpy()


# --- B6 to B9: training, notebooks, imports, one step -----------------------------------------------


def training(size: int) -> Contest:
    """1,000 steps of a classifier with layers of `size`, and two records; a bare scan of optax.sgd."""
    from momentum_lib import heavy_ball

    contest: Contest = {}
    with peer("optax", "sklearn"):
        import jax
        import jax.numpy as jnp
        import optax

        from momentum_lib.learning import Classifier, train

        task, steps, rule = Classifier(widths=(size, size)), 1000, heavy_ball.at(eta=0.01, gamma=0.9)
        optimizer, slope, error = optax.sgd(0.01, 0.9), jax.grad(task.loss), jax.jit(task.error)

        def step(carry: Any, key: Any) -> Any:
            theta, state = carry
            update, state = optimizer.update(slope(theta, task.draw(key)), state)
            return (optax.apply_updates(theta, update), state), None

        @jax.jit
        def bare(theta: Any, base: Any) -> Any:
            keys = jax.vmap(lambda t: jax.random.fold_in(base, t))(jnp.arange(1, steps + 1))
            return jax.lax.scan(step, (theta, optimizer.init(theta)), keys)[0][0]

        def recorded(theta: Any) -> Any:
            last = bare(theta, jax.random.key(0))
            return float(error(theta)), float(error(last)), last

        def flat(theta: Any) -> Any:
            return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(theta)])

        contest[OURS] = lambda: flat(train(rule, task, steps, every=steps).theta)
        contest["optax under jit"] = lambda: flat(recorded(task.start(0))[-1])
    return contest


def notebook(size: int) -> Contest:
    """Notebooks executed, the first `size` of the collection."""
    names = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))[:size]

    def reproduce() -> None:
        command = [sys.executable, "-c", "from momentum_lib.cli import main; main()"]
        subprocess.run(
            [*command, "reproduce", "--check", *(name.stem[:2] for name in names)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )

    def convert() -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "nbconvert",
                "--to",
                "notebook",
                "--execute",
                "--output-dir",
                folder,
            ]
            for name in names:
                subprocess.run([*command, str(name)], cwd=ROOT, check=True, capture_output=True)

    contest: Contest = {"momentum reproduce --check": reproduce}
    with peer("nbconvert"):
        contest["jupyter nbconvert, one after another"] = convert
    return contest


def imports(size: int) -> Contest:
    """`size` fresh Pythons that import one library."""

    def load(name: str) -> None:
        for _ in range(size):
            subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, check=True)

    contest: Contest = {OURS: lambda: load("momentum_lib"), "numpy": lambda: load("numpy")}
    for name in ("optax", "torch"):
        with peer(name):
            contest[name] = functools.partial(load, name)
    return contest


def one_run(size: int) -> Contest:
    """Steps of heavy ball on two coordinates, one after another, every iterate kept."""
    from momentum_lib import Quadratic, heavy_ball, run

    lam, rule = np.array([1.0, 2.0]), heavy_ball.at(eta=0.1, gamma=0.9)
    problem, start = Quadratic(lam), np.ones(2)

    def by_hand() -> Any:
        out, v = np.ones((size + 1, 2)), np.zeros(2)
        for t in range(size):
            v = 0.9 * v + 0.1 * (lam * out[t])
            out[t + 1] = out[t] - v
        return out

    contest: Contest = {OURS: lambda: run(rule, problem.grad, start, size).theta, "NumPy by hand": by_hand}
    with peer("numba"):
        from benchmarks import peers

        contest["numba by hand"] = lambda: peers.two_coordinates(0.1, 0.9, lam, size)
    with peer("torch"):
        import torch

        def torch_sgd() -> Any:
            theta, curvature = torch.ones(2, dtype=torch.float64), torch.as_tensor(lam)
            optimizer, out = torch.optim.SGD([theta], 0.1, 0.9), np.ones((size + 1, 2))
            for t in range(size):
                theta.grad = curvature * theta
                optimizer.step()
                out[t + 1] = theta.numpy()
            return out

        contest["torch.optim.SGD"] = torch_sgd
    return contest


_rosenbrock_grid = functools.partial(descent, name="Rosenbrock")
_beale_grid = functools.partial(descent, name="Beale")

#: By name; the first size is small, and the tests run it.
WORKLOADS: Final = {
    "B1 hit": Workload("first hit, cap 2,000", hitting, (20, 400), 0, 3),
    "B1 hit, late": Workload(
        "first hit, cap 200,000", functools.partial(hitting, cap=200_000), (20, 100), 0, 3
    ),
    "B1 settle": Workload("settling, cap 200,000", settling, (20, 400), 0, 3),
    "B2": Workload("spectral radius, two slots", radius, (20, 400, 2000), 1e-12),
    "B2 three": Workload(
        "spectral radius, three slots",
        functools.partial(radius_of_many_slots, slots=3),
        (100, 400_000),
        1e-6,
        3,
    ),
    "B2 four": Workload(
        "spectral radius, four slots",
        functools.partial(radius_of_many_slots, slots=4),
        (100, 400_000),
        1e-6,
        3,
    ),
    "B3": Workload("ten noisy modes, noise given", noisy, (20_000, 1_000_000), 1e-11, 5),
    "B3 drawn": Workload("ten noisy modes, noise drawn", noisy_drawn, (20_000, 1_000_000), 1e-11, 5),
    "B4": Workload("mean-square curve", mean_square, (1000, 10_000, 100_000), 0.3, 7),
    "B4 long": Workload("mean-square curve, not sampled", mean_square, (1000, 1_000_000), 0.3, 7),
    "B5 Rosenbrock": Workload("Rosenbrock, 500 steps", _rosenbrock_grid, (20, 200, 400, 800, 1600), 1e-6, 3),
    "B5 Beale": Workload("Beale, 500 steps", _beale_grid, (20, 200, 400, 800, 1600), 1e-6, 3),
    "B6": Workload("training a classifier", training, (4, 13, 320, 900), 1e-4, 5),
    "B7": Workload("notebooks", notebook, (1, 3), 0, 1),
    "B8": Workload("import", imports, (1, 5), 0, 3),
    "B9": Workload("steps of run on two coordinates", one_run, (20, 1000), 1e-12),
}
