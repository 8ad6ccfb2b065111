"""Sequences whose start matters at their end: problems that plain recurrent networks are known to fail.

Each draws fresh sequences under JAX, centred as the network wants them, and says how far outputs are off.
A batch is (inputs, target): inputs of shape (time, batch, channels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from momentum_lib.clock import count_of

__all__ = ["Addition", "Memorization", "Multiplication"]


@dataclass(frozen=True)
class Addition:
    """Two numbers of a long sequence are marked; at its end their sum is asked for.

    Channel 0 holds numbers from U[-1, 1]; channel 1 is 1 at the two marks, -1 at both ends, else 0. The
    first mark lies among the first ten steps, the second in the first half. Target: .5 + (x + y)/4. An
    answer is wrong if it is off by more than .04.

    Parameters
    ----------
    length : int
        Steps of a sequence, at least 8. (Hochreiter and Schmidhuber draw lengths from [T, 1.1 T].)

    Source: Hochreiter and Schmidhuber 1997, section 5.4; with fixed length Martens and Sutskever 2011.
    """

    length: int = 80

    inputs = 2
    outputs = 1
    answers = 1
    _low = -1.0  # of the numbers

    def __post_init__(self) -> None:
        """Refuse a sequence too short for two marks in its first half."""
        count_of("length", self.length, 8)

    @property
    def output_mean(self) -> Any:
        """Mean of the targets, (1,): where the output bias starts."""
        return np.array([0.5], np.float32)

    def draw(self, key: Any, batch: int) -> tuple[Any, Any]:
        """Inputs (length, batch, 2) and targets (batch, 1)."""
        import jax
        import jax.numpy as jnp

        first, second, number = jax.random.split(key, 3)
        last, half = min(10, self.length // 2 - 1), self.length // 2
        a = jax.random.randint(first, (batch,), 1, last)
        b = jax.random.randint(second, (batch,), 1, half - 1)
        b = jnp.where(b >= a, b + 1, b)  # any other step of the first half
        numbers = jax.random.uniform(number, (self.length, batch), jnp.float32, self._low, 1.0)
        marks = sum(jax.nn.one_hot(place, self.length, dtype=jnp.float32, axis=0) for place in (a, b))
        x, y = ((numbers * jax.nn.one_hot(p, self.length, dtype=jnp.float32, axis=0)).sum(0) for p in (a, b))
        ends = jnp.zeros(self.length, jnp.float32).at[jnp.array([0, -1])].set(-1.0)
        # The mean of either channel is known: the middle of the interval, and 0 for two marks and two ends.
        inputs = jnp.stack([numbers - (self._low + 1) / 2, marks + ends[:, None]], axis=-1)
        return inputs, self._target(x, y)[:, None]

    def _target(self, x: Any, y: Any) -> Any:
        return 0.5 + (x + y) / 4

    def loss(self, outputs: Any, target: Any) -> Any:
        """Mean squared error; `outputs` is (1, batch, 1)."""
        return ((outputs[0] - target) ** 2).mean()

    def wrong(self, outputs: Any, target: Any) -> Any:
        """Share of the sequences answered wrongly."""
        return (abs(outputs[0] - target) > 0.04).mean()


@dataclass(frozen=True)
class Multiplication(Addition):
    """As `Addition`, with numbers from U[0, 1] and their product as the target.

    Source: Hochreiter and Schmidhuber 1997, section 5.5.
    """

    _low = 0.0

    @property
    def output_mean(self) -> Any:
        """Mean of the targets, (1,): where the output bias starts."""
        return np.array([0.25], np.float32)

    def _target(self, x: Any, y: Any) -> Any:
        return x * y


@dataclass(frozen=True)
class Memorization:
    """A few symbols, a long wait, a cue: then the symbols are asked for in their order.

    Channels, one of them 1 at each step: the symbols, blank, cue. The cue is the last step of the wait.

    Parameters
    ----------
    symbols : int
        Size of the alphabet: 2 in the 5-bit problem, 5 in the 20-bit problem.
    memory : int
        Symbols to remember: 5 in the 5-bit problem, 10 in the 20-bit problem.
    wait : int
        Steps between the last symbol and the first answer, the cue among them.

    Source: Hochreiter and Schmidhuber 1997; in this form Martens and Sutskever 2011, section 4.
    """

    symbols: int = 5
    memory: int = 10
    wait: int = 80

    def __post_init__(self) -> None:
        """Refuse an alphabet, a memory or a wait too small to ask anything."""
        for name, least in (("symbols", 2), ("memory", 1), ("wait", 1)):
            count_of(name, getattr(self, name), least)

    @property
    def inputs(self) -> int:
        """Channels."""
        return self.symbols + 2

    @property
    def outputs(self) -> int:
        """Numbers read at each answer, one a symbol."""
        return self.symbols

    @property
    def answers(self) -> int:
        """How many of the last steps are read."""
        return self.memory

    @property
    def length(self) -> int:
        """Steps of a sequence."""
        return self.wait + 2 * self.memory

    @property
    def output_mean(self) -> Any:
        """Where the output bias starts: no symbol preferred."""
        return np.zeros(self.symbols, np.float32)

    def draw(self, key: Any, batch: int) -> tuple[Any, Any]:
        """Inputs (length, batch, symbols + 2) and the symbols (memory, batch) to give back."""
        import jax
        import jax.numpy as jnp

        target = jax.random.randint(key, (self.memory, batch), 0, self.symbols)
        rest = (
            jnp.full((self.wait + self.memory, batch), self.symbols).at[self.wait - 1].set(self.symbols + 1)
        )
        inputs = jax.nn.one_hot(jnp.concatenate([target, rest]), self.inputs, dtype=jnp.float32)
        shown, blank = self.memory / self.length, (self.wait + self.memory - 1) / self.length
        mean = jnp.array([shown / self.symbols] * self.symbols + [blank, 1 / self.length], jnp.float32)
        return inputs - mean, target

    def loss(self, outputs: Any, target: Any) -> Any:
        """Cross-entropy of a symbol in nats, mean over the sequence and the batch."""
        import jax
        import jax.numpy as jnp

        chances = jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(chances, target[..., None], axis=-1).mean()

    def wrong(self, outputs: Any, target: Any) -> Any:
        """Symbols of a sequence given back wrongly, mean over the batch."""
        return (outputs.argmax(-1) != target).sum(0).mean()
