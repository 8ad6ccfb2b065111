"""First weights: sparse, echo-state, dense. Drawn with NumPy, so a seed means the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from momentum_lib.clock import brief, count_of, real

__all__ = ["echo_state", "normal_weights", "sparse_weights"]

Array = np.ndarray[Any, Any]

#: Units of a layer: the square of it still is a matrix one can hold.
_MOST = 10**5


def sparse_weights(
    rng: np.random.Generator, fan_in: int, fan_out: int, connections: int = 15, scale: float = 1.0
) -> Array:
    """Weights of which each unit has `connections` that are not zero, from a Gaussian of width `scale`.

    A unit's input then neither vanishes nor saturates with the width of the layer below.

    Parameters
    ----------
    rng : numpy Generator
    fan_in, fan_out : int
        Units below and above.
    connections : int
        Incoming connections a unit; all of them where the layer below has fewer.
    scale : float
        Standard deviation of a weight.

    Returns
    -------
    (fan_in, fan_out) float32 array

    Source: Martens 2010, section 5; Sutskever, Martens, Dahl and Hinton 2013, section 3.1.

    Examples
    --------
    >>> weights = sparse_weights(np.random.default_rng(0), 40, 7)
    >>> np.count_nonzero(weights, axis=0)
    array([15, 15, 15, 15, 15, 15, 15])
    """
    count_of("connections", connections, 1)
    weights = _zeros(rng, fan_in, fan_out)
    scale = real("scale", scale)
    for unit in range(fan_out):
        chosen = rng.choice(fan_in, min(connections, fan_in), replace=False)
        weights[chosen, unit] = scale * rng.standard_normal(len(chosen))
    return weights


def echo_state(
    rng: np.random.Generator, units: int, connections: int = 15, radius: float = 1.1, scale: float = 1.0
) -> Array:
    """Recurrent weights, sparse, scaled to a given spectral radius: slightly above 1 keeps a signal alive.

    Parameters
    ----------
    rng : numpy Generator
    units : int
    connections : int
        Incoming connections a unit.
    radius : float
        Largest modulus of an eigenvalue.
    scale : float
        A further factor, for studies of the initialization; the spectral radius is radius times scale.

    Returns
    -------
    (units, units) float32 array

    Source: Jaeger and Haas 2004; Sutskever, Martens, Dahl and Hinton 2013, section 4.1.

    Examples
    --------
    >>> weights = echo_state(np.random.default_rng(0), 50)
    >>> round(float(abs(np.linalg.eigvals(weights)).max()), 4)
    1.1
    """
    radius, scale = real("radius", radius, above=0), real("scale", scale)
    weights = sparse_weights(rng, units, units, connections).astype(float)
    largest = float(abs(np.linalg.eigvals(weights)).max())
    return (weights * (scale * radius / largest)).astype(np.float32)


def normal_weights(rng: np.random.Generator, fan_in: int, fan_out: int, scale: float | None = None) -> Array:
    """Dense Gaussian weights of width `scale`, 1/√fan_in unless given, so that a unit's input has width one.

    Returns
    -------
    (fan_in, fan_out) float32 array

    Source: LeCun, Bottou, Orr and Müller 1998, section 4.6, for the default.
    """
    weights = _zeros(rng, fan_in, fan_out)
    width = 1 / np.sqrt(fan_in) if scale is None else real("scale", scale)
    weights[:] = width * rng.standard_normal(weights.shape)
    return weights


def _zeros(rng: Any, fan_in: int, fan_out: int) -> Array:
    """Weights between as many units, all zero, to be drawn from a Generator."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng is {brief(rng)}; give a numpy Generator, such as np.random.default_rng(0).")
    shape = count_of("fan_in", fan_in, 1, _MOST), count_of("fan_out", fan_out, 1, _MOST)
    return np.zeros(shape, np.float32)
