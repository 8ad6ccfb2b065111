"""Sharpness: the top of the Hessian's spectrum, against the Hessian written out."""

from dataclasses import dataclass

import numpy as np
import pytest

from momentum_lib.learning import (
    Autoencoder,
    Classifier,
    Digits,
    largest_eigenvalue,
    sharpness,
)

jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")
ravel_pytree = pytest.importorskip("jax.flatten_util").ravel_pytree

FEW = Digits(count=12)
TASKS = [
    Classifier(FEW, (3,), batch=None, squared=True),
    Autoencoder(FEW, (2,), batch=None, connections=4),
]


@dataclass(frozen=True)
class Saddle:
    """A quadratic with given eigenvalues in a turned frame."""

    eigenvalues: tuple[float, ...]

    def start(self, seed):
        return np.random.default_rng(seed).standard_normal(len(self.eigenvalues)).astype(np.float32)

    def draw(self, key):
        n = len(self.eigenvalues)
        turn = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
        return ((turn * np.array(self.eigenvalues)) @ turn.T).astype(np.float32)

    def loss(self, theta, batch):
        return theta @ batch @ theta / 2

    def error(self, theta):
        return self.loss(theta, self.draw(None))


@dataclass(frozen=True)
class Cliff(Saddle):
    """Its curvature overflows float32 where theta is 60."""

    def loss(self, theta, batch):
        return (jax.numpy.exp(theta) ** 2).sum()


@pytest.mark.parametrize("task", TASKS, ids=["classifier", "coder"])
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(task):
    theta, batch = task.start(seed=0), jax.jit(task.draw)(jax.random.key(1))
    vector, tree = ravel_pytree(theta)
    hessian = jax.jit(jax.hessian(lambda vector: task.loss(tree(vector), batch)))(vector)
    hessian = np.asarray(hessian, float)
    spectrum = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    assert sharpness(task, theta, batch) == pytest.approx(spectrum[-1], rel=1e-3)
    assert spectrum[-1] > 1e-3


@pytest.mark.parametrize(
    "eigenvalues",
    [(-9.0, 1.0, 4.0), (-50.0, -20.0, 0.1, 0.5, 2.0, 1.9), (-3.0, -2.0, -1.0, -4.0), (-2.0, 1.0), (-3.0,)],
)
def test_the_largest_is_meant_and_not_the_largest_modulus(eigenvalues):
    task = Saddle(eigenvalues)
    assert sharpness(task, task.start(seed=0)) == pytest.approx(max(eigenvalues), rel=1e-3)
    dense = np.asarray(task.draw(None), float)
    assert largest_eigenvalue(lambda u: dense @ u, len(dense)) == pytest.approx(max(eigenvalues), rel=1e-3)


def test_a_loss_without_curvature_has_sharpness_zero():
    for n in (2, 40):
        assert sharpness(Saddle((0.0,) * n), np.ones(n, np.float32)) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sharpness_is_nan_where_theta_is_not_finite(value):
    theta = TASKS[0].start(seed=0)
    theta[0][0][1, 2] = value
    assert np.isnan(sharpness(TASKS[0], theta))


@pytest.mark.parametrize("n", [1, 40])
def test_sharpness_is_nan_where_the_curvature_is_not_finite(n):
    assert np.isnan(sharpness(Cliff((1.0,) * n), np.full(n, 60, np.float32)))


def test_sharpness_is_the_same_each_time():
    theta = TASKS[1].start(seed=3)
    assert sharpness(TASKS[1], theta) == sharpness(TASKS[1], theta)


def test_the_batch_that_is_given_is_the_one_that_counts():
    task = TASKS[0]
    theta, (images, labels) = task.start(seed=0), FEW.load()
    everything = sharpness(task, theta)
    assert sharpness(task, theta, (images, labels)) == everything
    assert sharpness(task, theta, (images[:2], labels[:2])) != pytest.approx(everything, rel=0.05)


def test_gradient_descent_is_stable_below_two_over_the_sharpness_and_not_above():
    task = Saddle((3.0, 1.0, 0.2))
    limit = 2 / sharpness(task, task.start(seed=0), tol=1e-6)
    for factor, bounded in [(0.98, True), (1.02, False)]:
        theta = task.start(seed=0).astype(float)
        for _ in range(400):
            theta = theta - factor * limit * task.draw(None) @ theta
        assert (np.linalg.norm(theta) < 1) == bounded
