"""Keras's SGD beside the library's rules, in a process of its own: Keras takes one backend a process.

Run as ``KERAS_BACKEND=torch python frameworks_keras.py``: prints the largest relative difference of each
cell of the grid as JSON. The problems, the grid and the measure are shared with test_frameworks.py.
"""

import itertools
import json

import numpy as np

from momentum_lib import keras_nesterov, keras_sgd, run
from momentum_lib.problems import Logistic, Quadratic, Rosenbrock

STEPS, ETA = 60, 2e-4
GAMMAS, DECAYS = (0.0, 0.5, 0.9, 0.99), (0.0, 0.05)
DATA = 20 * np.random.default_rng(0).standard_normal((30, 3))
LABELS = DATA @ [1.0, -2.0, 0.5] > 10
#: One learning rate fits all three, so one vector holds them side by side: SGD mixes no coordinates.
PROBLEMS = {
    "quadratic": (Quadratic([20.0, 300.0, 1000.0], rotation=1, minimizer=[1.0, -2.0, 0.5]), slice(0, 3)),
    "rosenbrock": (Rosenbrock(), slice(3, 5)),
    "logistic": (Logistic(DATA, LABELS, ridge=1.0), slice(5, 8)),
}
START = np.array([0.3, 0.2, -0.1, -1.2, 1.0, 0.1, 0.2, -0.3])


def grad(theta):
    """The gradients of the three problems side by side."""
    return np.concatenate([problem.grad(theta[..., at]) for problem, at in PROBLEMS.values()], axis=-1)


def iterates(rule):
    """The library's iterates at the grid's learning rate, (STEPS + 1, 8)."""
    return run(rule.at(eta=ETA), grad, START, STEPS).theta


def difference(ours, theirs):
    """The largest difference, relative to the largest coordinate of its problem."""
    apart = [
        np.abs(ours[:, at] - theirs[:, at]).max() / np.abs(ours[:, at]).max() for _, at in PROBLEMS.values()
    ]
    return float(max(apart))


def keras_iterates(gamma, weight_decay, nesterov):
    """Keras's iterates; the gradient comes from our oracle. Momentum must be a Python float."""
    import keras

    theta = keras.Variable(START, dtype="float64")
    optimizer = keras.optimizers.SGD(ETA, gamma, nesterov, weight_decay=weight_decay or None)
    optimizer.build([theta])
    rows = [START]
    for _ in range(STEPS):
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(grad(rows[-1])), theta)])
        rows.append(np.array(keras.ops.convert_to_numpy(theta)))
    return np.array(rows)


if __name__ == "__main__":
    import keras

    keras.config.set_floatx("float64")
    found = {}
    for gamma, decay, nesterov in itertools.product(GAMMAS, DECAYS, (False, True)):
        rule = keras_nesterov if nesterov else keras_sgd
        ours = iterates(rule.at(gamma=gamma, weight_decay=decay))
        cell = f"gamma={gamma} weight_decay={decay} nesterov={nesterov}"
        found[cell] = difference(ours, keras_iterates(gamma, decay, nesterov))
    print(json.dumps({"backend": keras.backend.backend(), "cells": found}))
