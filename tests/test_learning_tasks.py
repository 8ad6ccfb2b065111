"""Tasks: what the networks compute, against plain NumPy, and what a task is as a value."""

import functools
import pickle
from dataclasses import replace

import numpy as np
import pytest

from momentum_lib.learning import (
    Addition,
    Autoencoder,
    Classifier,
    Curves,
    Digits,
    Memorization,
    Multiplication,
    RecurrentTask,
)

jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")
ravel_pytree = pytest.importorskip("jax.flatten_util").ravel_pytree

FEW = Digits(count=12)
CODER = Autoencoder(FEW, (6, 3), batch=None, connections=4)
ENTROPY = Classifier(FEW, (5, 4), batch=None)
SQUARED = replace(ENTROPY, squared=True)
SUMS = RecurrentTask(Addition(9), units=4, batch=3, connections=2, input_scale=0.5)
SYMBOLS = RecurrentTask(Memorization(2, 3, 2), units=4, batch=3, connections=2, input_scale=0.5)
TASKS = [CODER, ENTROPY, SQUARED, SUMS, SYMBOLS]
every_task = pytest.mark.parametrize("task", TASKS, ids=["coder", "entropy", "squared", "sums", "symbols"])


# --- The networks once more, in NumPy and double precision -------------------------------------------


def cut(theta, *shapes):
    """Consecutive pieces of a flat vector."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    assert ends[-1] == len(theta)
    return [piece.reshape(shape) for piece, shape in zip(np.split(theta, ends[:-1]), shapes, strict=True)]


def vector(tree):
    """The numbers of theta in one row."""
    return np.asarray(ravel_pytree(tree)[0])


def tree(task, theta):
    """The numbers in one row as the network's theta."""
    return ravel_pytree(task.start(seed=0))[1](theta)


def layers(task, theta):
    """Weights and biases of a feed-forward task, from the pixels on."""
    sizes = task.sizes
    shapes = [shape for a, b in zip(sizes, sizes[1:], strict=False) for shape in ((a, b), (b,))]
    parts = cut(theta, *shapes)
    return list(zip(parts[::2], parts[1::2], strict=True))


def parts(task, theta):
    """U, V, W, b, c of a recurrent task."""
    n, problem = task.units, task.sequence
    return cut(theta, (problem.inputs, n), (n, problem.outputs), (n, n), (n,), (problem.outputs,))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def answers(task, theta, inputs):
    U, V, W, b, c = parts(task, theta)
    h, said = np.zeros((inputs.shape[1], task.units)), []
    for x in inputs:
        h = np.tanh(h @ W + x @ U + b)
        said.append(h @ V + c)
    return np.array(said[len(said) - task.sequence.answers :])


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def reference(task, theta, batch):
    """The loss, written as its sentence says."""
    theta = np.asarray(theta, float)
    if isinstance(task, Autoencoder):
        x = batch
        for weights, bias in layers(task, theta):
            x = sigmoid(x @ weights + bias)
        return np.mean([np.sum((out - image) ** 2) for out, image in zip(x, batch, strict=True)])
    if isinstance(task, Classifier):
        x, labels = batch
        *hidden, (weights, bias) = layers(task, theta)
        for w, b in hidden:
            x = np.tanh(x @ w + b)
        out, hot = x @ weights + bias, np.eye(10)[labels]
        if task.squared:
            return np.mean(np.sum((out - hot) ** 2, axis=1))
        return -np.mean(np.sum(hot * log_softmax(out), axis=1))
    inputs, target = batch
    out = answers(task, theta, inputs)
    if isinstance(task.sequence, Memorization):
        return -np.mean(np.sum(np.eye(out.shape[-1])[target] * log_softmax(out), axis=-1))
    return np.mean((out[0] - target) ** 2)


@functools.cache
def scene(task):
    """A theta with biases that are not zero, and a batch."""
    theta = vector(task.start(seed=1))
    theta = theta + 0.2 * np.random.default_rng(2).standard_normal(len(theta)).astype(np.float32)
    return theta, jax.tree.map(np.asarray, jax.jit(task.draw)(jax.random.key(3)))


@functools.cache
def loss_and_gradient(task):
    asked = jax.jit(jax.value_and_grad(lambda theta, batch: task.loss(tree(task, theta), batch)))
    return jax.tree.map(np.asarray, asked(*scene(task)))


@every_task
def test_the_loss_is_that_of_a_plain_forward_pass(task):
    theta, batch = scene(task)
    assert float(loss_and_gradient(task)[0]) == pytest.approx(reference(task, theta, batch), rel=1e-5)


@every_task
def test_the_gradient_is_that_of_finite_differences(task):
    theta, batch = scene(task)
    gradient = loss_and_gradient(task)[1]
    tried = np.random.default_rng(0).permutation(len(theta))[:40]
    steps = 1e-5 * np.eye(len(theta))[tried]
    rise = np.array([reference(task, theta + h, batch) - reference(task, theta - h, batch) for h in steps])
    assert gradient[tried] == pytest.approx(rise / 2e-5, rel=1e-3, abs=1e-5 * float(abs(gradient).max()))
    assert abs(gradient[tried]).max() > 1e-3


@pytest.mark.parametrize("task", [SUMS, SYMBOLS], ids=["sums", "symbols"])
def test_a_recurrent_network_answers_as_a_loop_over_time_does(task):
    theta, (inputs, _) = scene(task)
    said = jax.jit(task.outputs)(tree(task, theta), inputs)
    assert said.shape == (task.sequence.answers, 3, task.sequence.outputs)
    assert np.asarray(said) == pytest.approx(answers(task, theta.astype(float), inputs), abs=1e-5)


# --- First weights, batches, errors -----------------------------------------------------------------


def test_an_autoencoder_mirrors_its_widths_and_starts_sparse_with_biases_at_zero():
    task = Autoencoder(Digits(), (30, 20, 8), scale=0.5)
    assert task.sizes == (64, 30, 20, 8, 20, 30, 64)
    for weights, bias in task.start(seed=0):
        assert (np.count_nonzero(weights, axis=0) == min(15, len(weights))).all() and not bias.any()
        assert weights[weights != 0].std() == pytest.approx(0.5, rel=0.2)
    assert Autoencoder(Curves(5, side=6), (4,)).sizes == (36, 4, 36)


def test_a_classifier_starts_dense_with_biases_at_zero():
    task = Classifier(Digits(), (100, 50))
    assert task.sizes == (64, 100, 50, 10)
    for weights, bias in task.start(seed=0):
        assert weights.std() == pytest.approx(len(weights) ** -0.5, rel=0.1) and not bias.any()


def test_a_recurrent_network_starts_as_an_echo_state_that_answers_the_mean():
    task = RecurrentTask(Multiplication(20), units=40, radius=1.2, scale=0.5, input_scale=0.01)
    U, V, W, b, c = (task.start(seed=0)[name] for name in "UVWbc")
    assert abs(np.linalg.eigvals(W)).max() == pytest.approx(0.6, rel=1e-4)
    assert (np.count_nonzero(W, axis=0) == 15).all() and not b.any() and c == 0.25
    assert U.std() == pytest.approx(0.01, rel=0.25) and V.std() == pytest.approx(0.1, rel=0.35)


@every_task
def test_the_same_seed_gives_the_same_float32_weights(task):
    assert {leaf.dtype for leaf in jax.tree.leaves(task.start(seed=5))} == {np.dtype(np.float32)}
    theta = vector(task.start(seed=5))
    assert (theta == vector(task.start(seed=5))).all() and (theta != vector(task.start(seed=6))).any()


def test_a_batch_is_rows_of_the_data_with_their_labels():
    images, labels = FEW.load()
    task = replace(ENTROPY, batch=50)  # more than there are: drawn with replacement
    draw = jax.jit(task.draw)
    shown, named = draw(jax.random.key(0))
    assert shown.shape == (50, 64) and named.shape == (50,)
    rows = [int(np.flatnonzero((images == row).all(axis=1))[0]) for row in np.asarray(shown)]
    assert (labels[rows] == np.asarray(named)).all() and len(set(rows)) > 6
    assert (np.asarray(draw(jax.random.key(1))[1]) != np.asarray(named)).any()
    assert jax.eval_shape(replace(CODER, batch=5).draw, jax.random.key(0)).shape == (5, 64)


def test_no_batch_size_means_all_images():
    images, labels = FEW.load()
    assert (CODER.draw(jax.random.key(0)) == images).all()
    shown, named = ENTROPY.draw(jax.random.key(0))
    assert (shown == images).all() and (named == labels).all()


@pytest.mark.parametrize("task", [CODER, ENTROPY, SQUARED], ids=["coder", "entropy", "squared"])
def test_the_error_is_the_loss_on_all_images_whatever_the_batch(task):
    theta, everything = scene(task)
    wanted = reference(task, theta, everything)
    assert float(jax.jit(replace(task, batch=2).error)(tree(task, theta))) == pytest.approx(wanted, rel=1e-5)


def test_the_baseline_is_the_error_of_the_mean_image():
    images = Digits().load()[0].astype(float)
    wanted = np.mean(np.sum((images - images.mean(axis=0)) ** 2, axis=1))
    assert Autoencoder().baseline == pytest.approx(wanted, rel=1e-5)


# --- The network that is not asked ------------------------------------------------------------------


def test_where_the_output_bias_alone_is_trained_nothing_else_has_a_gradient():
    task = replace(SYMBOLS, trained=("c",))
    theta, batch = scene(SYMBOLS)
    *others, bias = parts(task, vector(jax.jit(jax.grad(task.loss))(tree(task, theta), batch)))
    assert not any(part.any() for part in others)
    assert bias == pytest.approx(parts(SYMBOLS, loss_and_gradient(SYMBOLS)[1])[-1], rel=1e-5)


def test_a_network_that_ignores_its_input_is_wrong_as_often_as_chance_says():
    task = RecurrentTask(Addition(20), units=4, output_scale=0, trained=("c",))
    error = jax.jit(task.error)
    wrong = float(error(task.start(seed=0)))
    assert wrong == pytest.approx(1 - (0.16 - 0.16**2 / 4), abs=0.04)
    # The same thousand sequences each time, whatever weights ignore them.
    assert wrong == float(error(task.start(seed=1)))
    assert 1000 * wrong == pytest.approx(round(1000 * wrong), abs=1e-3)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: RecurrentTask(Addition(), trained=("W", "w")), "trained names 'w'; the parts are W, U, b,"),
        (lambda: RecurrentTask("addition"), "sequence is 'addition'; give Addition"),
        (lambda: RecurrentTask(Addition(), units=0), "units is 0; give a whole number of at least 1"),
        (lambda: RecurrentTask(Addition(), batch=2.5), "batch is 2.5; give a whole"),
        (lambda: Classifier(batch=0), "batch is 0; give a whole number of at least 1"),
        (lambda: Classifier(widths=8), r"widths is 8; give a tuple of whole numbers, as \(30, 8\)"),
        (lambda: Classifier(widths=(8, 0)), "a width is 0; give a whole number of at least 1"),
        (lambda: Classifier(Digits), "Digits'> is no source; give Digits"),
        (lambda: Autoencoder(widths=()), r"widths is \(\); an autoencoder has a middle at least"),
        (lambda: Autoencoder(widths=[8]), r"widths is \[8\]; give a tuple"),
    ],
)
def test_what_makes_no_network_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


# --- Values -----------------------------------------------------------------------------------------


@every_task
def test_a_task_is_a_value(task):
    sent = pickle.loads(pickle.dumps(task))
    assert sent == task and hash(sent) == hash(task) and len({sent, task}) == 1
    assert (vector(sent.start(seed=0)) == vector(task.start(seed=0))).all()


def test_tasks_with_another_setting_are_other_values():
    others = [
        replace(CODER, widths=(6, 4)),
        replace(CODER, source=Digits(count=13)),
        replace(CODER, scale=0.5),
    ]
    others += [replace(SUMS, sequence=Multiplication(9)), replace(SUMS, trained=("c",))]
    assert len({*TASKS, *others}) == len(TASKS) + len(others)
