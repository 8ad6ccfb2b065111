"""Edge to SciPy: a rule as the method of ``scipy.optimize.minimize``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from momentum_lib.adapters.edges import one_number
from momentum_lib.clock import Clock, count_of, real
from momentum_lib.definition import Rule

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

__all__ = ["as_scipy_method"]


def as_scipy_method(rule: Rule) -> Callable[..., OptimizeResult]:
    """Turn a rule into a ``method`` for ``scipy.optimize.minimize``.

    Its options are ``maxiter`` (10,000), ``disp`` (False) and ``tol`` (1e-6, the ``tol`` of `minimize`): the
    run ends when the gradients of as many steps in a row as the rule has slots all stay within `tol` in every
    coordinate. One small gradient would not do: a ball at full speed crosses a minimum with gradient zero.

    Parameters
    ----------
    rule : Rule
        At its setting, each letter a number or a function of t, which is 1 on the first step.

    Returns
    -------
    callable
        Pass it as ``method=``. Without ``jac=`` the gradient is SciPy's forward difference; `minimize` hands
        a scheme by name over as None, so another is heard only where the method is called itself. Hessians,
        bounds that bound, constraints, unknown options and a gradient that is not of theta's shape are
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
        disp: bool = False,
        maxiter: int = 10_000,
        tol: float = 1e-6,
        **given: Any,
    ) -> OptimizeResult:
        from scipy.optimize import Bounds, OptimizeResult
        from scipy.optimize._numdiff import approx_derivative

        # SciPy always hands over hess, hessp, bounds and constraints, empty where the caller gave none.
        for name, value in given.items():
            if name not in ("hess", "hessp", "bounds", "constraints"):
                raise ValueError(f"{rule.name} has no option {name!r}; it has disp, maxiter and tol.")
            if name == "bounds" and value is not None:
                pairs = zip(value.lb, value.ub, strict=True) if isinstance(value, Bounds) else value
                limits = [limit for pair in pairs for limit in pair if limit is not None]
                value = limits if np.isfinite(limits).any() else None
            if value is not None and value != ():
                raise ValueError(f"{rule.name} makes no use of {name}; leave it out, or take another method.")
        tol = real("tol", tol, least=0)
        start, read, values = np.array(x0, float), list[float](), 0
        # SciPy hands the callback over as the caller wrote it: of x, or of intermediate_result.
        whole = callback is not None and "intermediate_result" in inspect.signature(callback).parameters

        def value_at(x: Any) -> Any:
            nonlocal values
            values += 1
            value = np.asarray(fun(x, *args))
            if value.size != 1:
                raise ValueError(f"f gives a value of shape {value.shape}; return one number.")
            return value.item()

        def slope_at(x: Any) -> Any:
            if not callable(jac):
                return approx_derivative(value_at, x, method=jac or "2-point").reshape(start.shape)
            gradient = np.asarray(jac(x, *args), float)
            if gradient.size == start.size == 1:
                return gradient.reshape(start.shape)
            if gradient.shape != start.shape:
                raise ValueError(
                    f"jac gives a gradient of shape {gradient.shape} at theta of shape {start.shape}; "
                    "return a number for each coordinate."
                )
            return gradient

        def ask(x: Any) -> Any:
            gradient = slope_at(x)
            read.append(float(np.abs(gradient).max(initial=0.0)))
            return gradient

        state = rule.init(start)
        status, message, calm, t = 1, "The maximum number of steps was made.", 0, 0
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
                            callback(intermediate_result=OptimizeResult(x=state[0], fun=value_at(state[0])))
                        else:
                            callback(state[0].copy())
                    except StopIteration:
                        status, message = 3, "The callback stopped the run."
                        break
                if calm >= len(rule.slots):
                    status, message = 0, "The gradient stays within tol."
                    break
            x = state[0]
            f, slope = value_at(x), slope_at(x)
        if disp:
            print(f"{message} f = {f:.6g} after {t} steps of {rule.name}.")
        return OptimizeResult(
            x=x,
            fun=f,
            jac=slope,
            nit=t,
            nfev=values,
            njev=len(read) + 1,
            status=status,
            success=status == 0,
            message=message,
        )

    method.__name__ = method.__qualname__ = rule.name
    return method
