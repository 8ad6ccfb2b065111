"""Edges to other libraries: any rule, a student's too, as their optimizer.

Each edge is thin. It hands the library's own step the other library's numbers and takes the new slots back;
no update is typed here. The other library is imported when its edge is called, never before.
"""

from momentum_lib.adapters.keras_optimizer import as_keras
from momentum_lib.adapters.optax_transformation import as_optax
from momentum_lib.adapters.pepit_iterates import as_pepit
from momentum_lib.adapters.scipy_method import as_scipy_method
from momentum_lib.adapters.torch_optimizer import as_torch

__all__ = ["as_keras", "as_optax", "as_pepit", "as_scipy_method", "as_torch"]
