"""Edge to SciPy: a rule as the method of ``scipy.optimize.minimize``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from momentum_lib.adapters.edges import one_number
from momentum_lib.clock import Clock, count_of
from momentum_lib.definition import Rule

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

__all__ = ["as_scipy_method"]


def as_scipy_method(rule: Rule) -> Callable[..., OptimizeResult]:
    """Turn a rule into a ``method`` for ``scipy.optimize.minimize``.

    Its options are ``maxiter`` (10,000) and ``tol`` (1e-6, the ``tol`` of `minimize`): the run ends when the
    gradients of as many steps in a row as the rule has slots all stay within `tol` in every coordinate. One
    small gradient would not do: a ball at full speed crosses a minimum with gradient zero.

    Parameters
    ----------
    rule : Rule
        At its setting, each letter a number or a function of t, which is 1 on the first step.

    Returns
    -------
    callable
        Pass it as ``method=``. It needs ``jac=``; Hessians, bounds, constraints and unknown options are
        refused with a ValueError. Status 0: converged; 1: ``maxiter`` steps made; 2: no longer finite; 3: the
        callback raised StopIteration.

    Raises
    ------
    RuleError
        What is no rule, an open letter.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> from momentum_lib import heavy_ball
    >>> method = as_scipy_method(heavy_ball.at(eta=1e-3, gamma=0.9))
    >>> found = minimize(rosen, [-1.2, 1.0], jac=rosen_der, method=method)
    >>> found.success, found.x.round(4).tolist()
    (True, [1.0, 1.0])
    """
    clock = Clock(rule, one_number)

    def method(
        fun: Callable[..., Any],
        x0: Any,
        args: tuple[Any, ...] = (),
        *,
        jac: Any = None,
        callback: Callable[..., Any] | None = None,
        maxiter: int = 10_000,
        tol: float = 1e-6,
        **given: Any,
    ) -> OptimizeResult:
        from scipy.optimize import OptimizeResult

        # SciPy always hands over hess, hessp, bounds and constraints, empty where the caller gave none.
        for name, value in given.items():
            if name not in ("hess", "hessp", "bounds", "constraints"):
                raise ValueError(f"{rule.name} has no option {name!r}; it has maxiter and tol.")
            if value is not None and value != ():
                raise ValueError(f"{rule.name} makes no use of {name}; leave it out, or take another method.")
        if not callable(jac):
            raise ValueError(f"{rule.name} needs the gradient; pass jac=, the function or True, not {jac!r}.")
        read: list[float] = []
        # SciPy hands the callback over as the caller wrote it: of x, or of intermediate_result.
        whole = callback is not None and "intermediate_result" in inspect.signature(callback).parameters

        def ask(x: Any) -> Any:
            gradient = np.asarray(jac(x, *args), float)
            read.append(float(np.abs(gradient).max(initial=0.0)))
            return gradient

        state = rule.init(np.array(x0, float))
        status, message, calm, nfev, t = 1, "The maximum number of steps was made.", 0, 0, 0
        with np.errstate(all="ignore"):  # divergence is a result
            for t in range(1, count_of("maxiter", maxiter) + 1):
                before = len(read)
                state = clock.advance(state, ask, t)
                calm = calm + 1 if max(read[before:], default=np.inf) <= tol else 0
                if not np.isfinite(state[0]).all():
                    status, message = 2, f"The run left the finite numbers at step {t}."
                    break
                if callback is not None:
                    try:
                        if whole:
                            nfev += 1
                            callback(intermediate_result=OptimizeResult(x=state[0], fun=fun(state[0], *args)))
                        else:
                            callback(state[0].copy())
                    except StopIteration:
                        status, message = 3, "The callback stopped the run."
                        break
                if calm >= len(rule.slots):
                    status, message = 0, "The gradient stays within tol."
                    break
            x = state[0]
            return OptimizeResult(
                x=x,
                fun=fun(x, *args),
                jac=np.asarray(jac(x, *args), float),
                nit=t,
                nfev=nfev + 1,
                njev=len(read) + 1,
                status=status,
                success=status == 0,
                message=message,
            )

    method.__name__ = method.__qualname__ = rule.name
    return method
