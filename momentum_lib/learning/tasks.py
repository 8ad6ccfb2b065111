"""Tasks: a network, its first weights and its data, as pure functions of its parameters theta.

A task has

- ``start(seed)``: theta, a float32 vector or a tree of such arrays (lists, tuples, dicts), which a rule sees
  as `Parts`; the same seed gives the same weights to every rule;
- ``draw(key)``: a batch, under JAX;
- ``loss(theta, batch)``: what is descended;
- ``error(theta)``: what is reported, on fixed data.

It is a plain value (a frozen dataclass), so it can be compared, hashed, named in a file and sent to another
process. A task of your own needs these four methods; to be kept in files, be a frozen dataclass as well.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from momentum_lib.clock import count_of
from momentum_lib.definition import brief
from momentum_lib.learning.datasets import Curves, Digits, Rows, a_source
from momentum_lib.learning.sequences import Addition, Memorization, Multiplication
from momentum_lib.learning.weights import echo_state, normal_weights, sparse_weights

__all__ = ["Autoencoder", "Classifier", "RecurrentTask", "Task"]

Array = np.ndarray[Any, Any]
Parameters = Any  # a tree of arrays, as JAX has it


class Task(Hashable, Protocol):
    """What `train` asks of a task; see the module."""

    def start(self, seed: int) -> Parameters:
        """First theta."""

    def draw(self, key: Any) -> Any:
        """One batch."""

    def loss(self, theta: Any, batch: Any) -> Any:
        """A number to descend."""

    def error(self, theta: Any) -> Any:
        """A number to report."""


@dataclass(frozen=True)
class Autoencoder:
    """Deep sigmoid autoencoder: images through a narrow middle and back.

    Descends and reports the squared error of an image, summed over its pixels, mean over the images.

    Parameters
    ----------
    source : Digits, Curves or the like
        ``source.load()[0]`` are the images, (n, pixels) in [0, 1].
    widths : tuple of int
        Units of the encoder's layers, the narrow middle last; the decoder mirrors them.
    batch : int, optional
        Images an update, drawn with replacement; all of them if None.
    connections : int
        Incoming connections a unit, see `sparse_weights`.
    scale : float
        Width of the Gaussian of the first weights. Biases start at 0.

    Source: Hinton and Salakhutdinov 2006; first weights of Martens 2010, section 5.

    Examples
    --------
    >>> task = Autoencoder(Digits(), (30, 8))
    >>> task.sizes, [weights.shape for weights, bias in task.start(seed=0)]
    ((64, 30, 8, 30, 64), [(64, 30), (30, 8), (8, 30), (30, 64)])
    """

    source: Digits | Curves | Rows = Digits()  # noqa: RUF009 - a frozen value
    widths: tuple[int, ...] = (80, 40, 20, 8)
    batch: int | None = 200
    connections: int = 15
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what makes no network."""
        _check_layers(self)
        if not self.widths:
            raise ValueError("widths is (); an autoencoder has a middle at least.")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of all layers, from the pixels to the pixels."""
        pixels = self.source.load()[0].shape[1]
        return (pixels, *self.widths, *self.widths[-2::-1], pixels)

    def start(self, seed: int) -> Parameters:
        """First theta: weights (below, above) and biases (above,) of each layer, from the input."""
        rng = np.random.default_rng(seed)

        def weights(a: int, b: int) -> Array:
            return sparse_weights(rng, a, b, self.connections, self.scale)

        return _layers(self.sizes, weights)

    def draw(self, key: Any) -> Any:
        """Images (batch, pixels)."""
        return _rows(key, self.batch, self.source.load()[0])

    def restore(self, theta: Any, images: Any) -> Any:
        """Images through the narrow middle and back, (n, pixels)."""
        import jax

        return _forward(theta, images, jax.nn.sigmoid, jax.nn.sigmoid)

    def loss(self, theta: Any, batch: Any) -> Any:
        """Squared error of an image, mean over the batch."""
        return ((self.restore(theta, batch) - batch) ** 2).sum(axis=-1).mean()

    def error(self, theta: Any) -> Any:
        """The same on all images: the training error."""
        return self.loss(theta, self.source.load()[0])

    @property
    def baseline(self) -> float:
        """The error of answering every image with the mean image."""
        return float(self.source.load()[0].var(axis=0).sum())


@dataclass(frozen=True)
class Classifier:
    """A fully connected tanh network with ten outputs, dense first weights of width 1/√fan-in, biases 0.

    Parameters
    ----------
    source : Digits or the like
        ``source.load()`` gives images (n, pixels) and labels (n,) from 0 to 9.
    widths : tuple of int
        Units of the hidden layers.
    batch : int, optional
        Images an update, drawn with replacement; all of them if None.
    squared : bool
        Descend the squared distance to the one-hot label, mean over the images, instead of the cross-entropy.

    Examples
    --------
    >>> task = Classifier(Digits(), (32,))
    >>> [weights.shape for weights, bias in task.start(seed=0)], round(float(task.wrong(task.start(0))), 1)
    ([(64, 32), (32, 10)], 0.9)
    """

    source: Digits | Rows = Digits()  # noqa: RUF009 - a frozen value
    widths: tuple[int, ...] = (32,)
    batch: int | None = 32
    squared: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no network."""
        _check_layers(self)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of all layers."""
        return (self.source.load()[0].shape[1], *self.widths, 10)

    def start(self, seed: int) -> Parameters:
        """First theta: weights (below, above) and biases (above,) of each layer, from the input."""
        rng = np.random.default_rng(seed)
        return _layers(self.sizes, lambda a, b: normal_weights(rng, a, b))

    def draw(self, key: Any) -> Any:
        """Images (batch, pixels) and labels (batch,)."""
        return _rows(key, self.batch, *self.source.load())

    def outputs(self, theta: Any, images: Any) -> Any:
        """What the network says to each image, (n, 10): the label is where it is largest."""
        import jax

        return _forward(theta, images, jax.numpy.tanh, lambda z: z)

    def loss(self, theta: Any, batch: Any) -> Any:
        """Cross-entropy in nats or squared distance, mean over the batch."""
        import jax

        images, labels = batch
        outputs = self.outputs(theta, images)
        hot = jax.nn.one_hot(labels, 10, dtype=outputs.dtype)
        if self.squared:
            return ((outputs - hot) ** 2).sum(axis=-1).mean()
        return -(jax.nn.log_softmax(outputs) * hot).sum(axis=-1).mean()

    def error(self, theta: Any) -> Any:
        """The loss on all images: the training loss."""
        return self.loss(theta, self.source.load())

    def wrong(self, theta: Any, source: Digits | Rows | None = None) -> Any:
        """Share of the images of a source told wrongly: of those trained on, or of others, a test."""
        images, labels = (source or self.source).load()
        return (self.outputs(theta, images).argmax(axis=-1) != labels).mean()


@dataclass(frozen=True)
class RecurrentTask:
    """A tanh network that reads a sequence step by step and answers at its end.

    h_t = tanh(W h_{t-1} + U x_t + b), answers V h_t + c. Reports the problem's own count of wrong answers,
    on a thousand sequences that no training sees.

    Parameters
    ----------
    sequence : Addition, Multiplication or Memorization
    units : int
    batch : int
        Fresh sequences an update.
    connections, radius : int, float
        Of W, see `echo_state`.
    scale : float
        A further factor on W, for studies of the initialization.
    input_scale, output_scale : float
        Width of the Gaussians of U and V; b starts at 0, c at the mean of the targets.
    trained : tuple of str, optional
        Train only these of W, U, b, V, c. ``("c",)`` with ``output_scale=0`` ignores the input: the baseline.

    Source: Sutskever, Martens, Dahl and Hinton 2013, section 4; `output_scale` is recalled from its table 4.
    """

    sequence: Addition | Multiplication | Memorization
    units: int = 100
    batch: int = 100
    connections: int = 15
    radius: float = 1.1
    scale: float = 1.0
    input_scale: float = 0.001
    output_scale: float = 0.1
    trained: tuple[str, ...] | None = None

    TESTED = 1000  # sequences behind the reported error

    def __post_init__(self) -> None:
        """Refuse what makes no network, or a name that is no part of it."""
        count_of("units", self.units, 1)
        count_of("batch", self.batch, 1)
        if not hasattr(self.sequence, "draw"):
            raise ValueError(f"sequence is {brief(self.sequence)}; give Addition() or the like.")
        for name in self.trained or ():
            if name not in ("W", "U", "b", "V", "c"):
                raise ValueError(f"trained names {name!r}; the parts are W, U, b, V and c.")

    def start(self, seed: int) -> Parameters:
        """First theta: W, U, b, V, c."""
        rng = np.random.default_rng(seed)
        return {
            "W": echo_state(rng, self.units, self.connections, self.radius, self.scale),
            "U": normal_weights(rng, self.sequence.inputs, self.units, self.input_scale),
            "b": np.zeros(self.units, np.float32),
            "V": normal_weights(rng, self.units, self.sequence.outputs, self.output_scale),
            "c": self.sequence.output_mean,
        }

    def draw(self, key: Any) -> Any:
        """Fresh sequences."""
        return self.sequence.draw(key, self.batch)

    def outputs(self, theta: Any, inputs: Any) -> Any:
        """What the network says at the steps that are read, (answers, batch, outputs)."""
        import jax
        import jax.numpy as jnp

        if self.trained is not None:
            theta = {k: v if k in self.trained else jax.lax.stop_gradient(v) for k, v in theta.items()}
        driven = inputs @ theta["U"] + theta["b"]

        def unit(h: Any, drive: Any) -> Any:
            h = jnp.tanh(h @ theta["W"] + drive)
            return h, h

        _, states = jax.lax.scan(unit, jnp.zeros_like(driven[0]), driven)
        return states[-self.sequence.answers :] @ theta["V"] + theta["c"]

    def loss(self, theta: Any, batch: Any) -> Any:
        """The problem's loss."""
        inputs, target = batch
        return self.sequence.loss(self.outputs(theta, inputs), target)

    def error(self, theta: Any) -> Any:
        """The problem's count of wrong answers on the sequences kept for testing."""
        import jax

        inputs, target = self.sequence.draw(jax.random.key(2**31 - 1), self.TESTED)
        return self.sequence.wrong(self.outputs(theta, inputs), target)


# --- What the tasks share ---------------------------------------------------------------------------


def _check_layers(task: Autoencoder | Classifier) -> None:
    a_source(task.source)
    if not isinstance(task.widths, tuple):
        raise ValueError(f"widths is {brief(task.widths)}; give a tuple of whole numbers, as (30, 8).")
    for width in task.widths:
        count_of("a width", width, 1)
    if task.batch is not None:
        count_of("batch", task.batch, 1)


def _layers(sizes: tuple[int, ...], weights: Any) -> Parameters:
    return [(weights(a, b), np.zeros(b, np.float32)) for a, b in zip(sizes, sizes[1:], strict=False)]


def _forward(layers: Parameters, x: Any, hidden: Any, last: Any) -> Any:
    for weights, bias in layers[:-1]:
        x = hidden(x @ weights + bias)
    weights, bias = layers[-1]
    return last(x @ weights + bias)


def _rows(key: Any, batch: int | None, *data: Array) -> Any:
    """Rows drawn with replacement, the same of each array; all rows if there is no batch size."""
    import jax

    if batch is None:
        return data if len(data) > 1 else data[0]
    chosen = jax.random.randint(key, (batch,), 0, len(data[0]))
    rows = tuple(jax.numpy.asarray(array)[chosen] for array in data)
    return rows if len(rows) > 1 else rows[0]
