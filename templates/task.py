"""A task for `train`: a network with its data as a frozen value with four methods.

It can move to ``momentum_lib/learning/tasks.py`` as it stands; its fields are all its settings.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from momentum_lib import heavy_ball
from momentum_lib.learning import train


@dataclass(frozen=True)
class MyTask:
    """One layer of tanh units learns sin(x) on [-3, 3] from `count` points.

    Parameters
    ----------
    units : int
    count : int
    """

    units: int = 8
    count: int = 64

    def start(self, seed: int) -> Any:
        """First theta, (3 units,) float32."""
        return np.random.default_rng(seed).standard_normal(3 * self.units).astype(np.float32)

    def draw(self, key: Any) -> Any:
        """All points: x and sin(x), (count,) each."""
        x = np.linspace(-3, 3, self.count, dtype=np.float32)
        return x, np.sin(x)

    def loss(self, theta: Any, batch: Any) -> Any:
        """Mean squared error over a batch."""
        import jax.numpy as jnp

        x, y = batch
        slope, shift, out = theta.reshape(3, self.units)
        return jnp.mean((jnp.tanh(jnp.outer(x, slope) + shift) @ out - y) ** 2)

    def error(self, theta: Any) -> Any:
        """What is reported: the loss on all points."""
        return self.loss(theta, self.draw(None))


if __name__ == "__main__":
    done = train(heavy_ball.at(eta=0.05, gamma=0.9), MyTask(), 300, seed=1, every=100)
    print("error after 0, 100, 200, 300 updates:", np.asarray(done.error).round(3))
