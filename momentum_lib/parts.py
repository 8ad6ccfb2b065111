"""What a rule computes with: any library's arrays, and a point that lies in several of them.

A network's parameters are many arrays, and together they are one theta. `Parts` is that theta: a rule adds
and scales it as any array, and each part keeps its shape, type and device. Nothing is flattened, so a rule
that acts on matrices meets matrices, and a rule that looks at whole points still sees the whole.
"""

from __future__ import annotations

import functools
import importlib
import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

__all__ = ["Parts", "by_parts", "namespace"]


def namespace(array: Any) -> Any:
    """The module that computes with this array: NumPy's, JAX's, PyTorch's, Keras's; NumPy for plain numbers.

    Examples
    --------
    >>> namespace(np.ones(2)) is np, namespace(1.0) is np
    (True, True)
    """
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    if hasattr(type(array), "__torch_function__"):  # PyTorch has the functions and not the method
        return importlib.import_module("torch")
    if hasattr(array, "__tf_tensor__"):  # and TensorFlow neither; it is met through Keras
        return importlib.import_module("keras").ops
    return np


class Parts:
    """A point in several arrays, computed with as if it were one.

    Arithmetic acts part by part; what is no `Parts` goes to every part. The namespace does too, but for
    ``sum``, which is over the whole point, a scalar.

    Parameters
    ----------
    parts : iterable of arrays

    Examples
    --------
    >>> point = Parts([np.array([3.0]), np.array([[4.0, 0.0]])])
    >>> float(namespace(point).sum(point * point))
    25.0
    """

    __slots__ = ("parts",)
    __array_ufunc__ = None  # NumPy's arrays and numbers leave the arithmetic to us
    ndim = 1  # a point, whatever the shapes of its parts

    def __init__(self, parts: Iterable[Any]) -> None:
        self.parts = tuple(parts)

    def __array_namespace__(self) -> Any:
        return _NAMESPACE

    def __repr__(self) -> str:
        return f"Parts({list(self.parts)!r})"


def by_parts(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """`function` of each part in turn; of the arguments as they are where none is in parts."""
    count = max((len(a.parts) for a in args if isinstance(a, Parts)), default=None)
    if count is None:
        return function(*args, **options)
    rows = [a.parts if isinstance(a, Parts) else (a,) * count for a in args]
    return Parts(function(*row, **options) for row in zip(*rows, strict=True))


class _Namespace:
    """Functions of the parts' own namespace, part by part."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def own(*args: Any, **options: Any) -> Any:
            of = next((a for a in args if not isinstance(a, bool | int | float)), 0.0)
            return getattr(namespace(of), name)(*args, **options)

        return functools.partial(by_parts, own)

    @staticmethod
    def sum(point: Any, **_: Any) -> Any:
        """Over the whole point."""
        return functools.reduce(operator.add, (part.sum() for part in point.parts))


_NAMESPACE: Final = _Namespace()


def _lift(function: Callable[..., Any]) -> dict[str, Any]:
    """A dunder method and its mirror image."""
    return {"": lambda *args: by_parts(function, *args), "r": lambda a, b: by_parts(function, b, a)}


for _name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "matmul"):
    for _side, _method in _lift(getattr(operator, _name)).items():
        setattr(Parts, f"__{_side}{_name}__", _method)
for _name in ("neg", "abs", "lt", "le", "gt", "ge"):
    setattr(Parts, f"__{_name}__", _lift(getattr(operator, _name))[""])
