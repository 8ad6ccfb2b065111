"""Edge to Keras: a rule as an optimizer for ``model.compile``."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from momentum_lib.adapters.edges import look_ahead_refused, one_number
from momentum_lib.clock import Clock
from momentum_lib.collection import needs
from momentum_lib.definition import RULES, Rule, RuleError, is_schedule
from momentum_lib.nonlinear import NONLINEAR

if TYPE_CHECKING:
    import keras

__all__ = ["as_keras"]


@needs("keras", "frameworks")
def as_keras(rule: Rule, **options: Any) -> keras.optimizers.Optimizer:
    """Turn a rule into an optimizer for ``model.compile``, on Keras's JAX, PyTorch and TensorFlow backends.

    Its ``learning_rate`` is the rule's step size: a number, which callbacks may set, or one of
    ``keras.optimizers.schedules``, which count from 0 as ever in Keras. Any letter may be a function of t, 1
    on the first step; t counts the steps of the optimizer, as in Keras, and not those of a variable.

    ``model.save`` keeps the rule's name, its letters and its slots. Before a process loads the model it calls
    `as_keras` once, so that Keras knows the class, and imports the module of a rule of your own.

    Parameters
    ----------
    rule : Rule
        At its setting, with one step size, reading the gradient at theta. Keras hands over one variable at a
        time, so a rule that looks at whole points has no place here.
    **options
        What every Keras optimizer takes: ``global_clipnorm``, ``gradient_accumulation_steps``, ``use_ema``.

    Raises
    ------
    RuleError
        What is no rule, an open letter, no step size or several, a look-ahead, a sum over theta; from the
        first step, what this backend cannot run; from ``model.save``, a rule that is found under no name.

    Examples
    --------
    >>> import keras
    >>> from momentum_lib import heavy_ball
    >>> optimizer, theta = as_keras(heavy_ball.at(eta=0.25, gamma=0.5)), keras.Variable([1.0])
    >>> for _ in range(2):
    ...     optimizer.apply([2 * theta], [theta])
    >>> bool(keras.ops.all(theta == 0))
    True
    """
    Clock(rule, one_number)
    sizes = rule.step_letters
    if len(sizes) != 1:
        several = f"the step sizes {' and '.join(sizes)}" if sizes else "no step size"
        raise RuleError(f"{rule.name} has {several}, and Keras one learning_rate; take as_torch or as_optax.")
    _refuse_beyond_a_coordinate(rule)
    return _kind()(rule, rule.setting[sizes[0]], **options)


class _Coordinates(np.ndarray[Any, Any]):
    """Numbers that are not added up."""

    def sum(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError


def _oracle(rule: Rule, theta: Any, gradient: Any) -> Callable[[Any], Any]:
    def ask(x: Any) -> Any:
        if x is not theta:
            raise look_ahead_refused(rule, "take as_torch or as_optax, which ask for it where the rule does")
        return gradient

    return ask


def _refuse_beyond_a_coordinate(rule: Rule) -> None:
    """Let the rule step once where a gradient away from theta, or a sum, is noticed."""
    theta = np.ones(2).view(_Coordinates)
    try:
        rule.apply(rule.step, rule.init(theta), _oracle(rule, theta, theta), rule._generic)
    except NotImplementedError:
        raise RuleError(
            f"{rule.name} looks at whole points, and Keras hands over one variable at a time; take as_torch "
            "or as_optax, or let Keras clip (global_clipnorm=...)."
        ) from None
    except RuleError:
        raise
    except Exception:  # a rule that needs more than two numbers tells at its first step
        return


@contextlib.contextmanager
def _told(what: Any, backend: str) -> Iterator[None]:
    """One sentence where a rule or a schedule calls what this backend does not compile."""
    try:
        yield
    except NotImplementedError as error:
        raise RuleError(
            f"{what} calls NumPy's functions within a step that Keras compiles on {backend}; write it in "
            "arithmetic, or take the JAX or the PyTorch backend."
        ) from error


@functools.cache
def _kind() -> Any:
    """The class of these optimizers, on the backend that Keras runs on."""
    import keras
    from keras import ops

    def counted(iterations: Any) -> Any:
        """The step to be made, as a number where it can be read."""
        try:
            return int(ops.convert_to_numpy(iterations)) + 1
        except Exception:  # within a compiled step
            return ops.cast(iterations, keras.config.floatx()) + 1

    def read(name: str, value: Any) -> Any:
        return value if ops.is_tensor(value) else one_number(name, value)

    @keras.saving.register_keras_serializable("momentum_lib")
    class FromOne(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """A function of t, which is 1 on the first step, where Keras counts from 0."""

        def __init__(self, schedule: Callable[[Any], Any]) -> None:
            self.schedule = schedule

        def __call__(self, step: Any) -> Any:
            with _told(self.schedule, keras.backend.backend()):
                return read("learning_rate", self.schedule(counted(step)))

        def get_config(self) -> dict[str, Any]:
            return {"schedule": self.schedule}

    @keras.saving.register_keras_serializable("momentum_lib")
    class RuleOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]
        """A rule of `momentum_lib`; see `momentum_lib.as_keras`."""

        def __init__(self, rule: Rule, learning_rate: Any, **options: Any) -> None:
            (size,) = rule.step_letters
            if not is_schedule(learning_rate):
                learning_rate = one_number(size, learning_rate)
            elif not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
                learning_rate = FromOne(learning_rate)
            super().__init__(learning_rate, **options)
            self._clock, self._size = Clock(rule.at(**{size: 1.0}), read), size

        def build(self, variables: Any) -> None:
            super().build(variables)
            names, add = self._clock.rule.slots[1:], self.add_variable_from_reference
            self._slots = [[add(variable, name) for variable in variables] for name in names]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            clock, place = self._clock, self._get_variable_index(variable)
            rule, kept = clock.rule, [slot[place] for slot in self._slots]
            theta, *rest = map(ops.convert_to_tensor, (variable, *kept))
            ask = _oracle(rule, theta, ops.cast(ops.convert_to_tensor(gradient), theta.dtype))
            moving = any(rule.at_rest[1:])  # a slot that is a point begins where theta is by then
            t = counted(self.iterations) if clock.varies or rule.has_first_step or moving else 2

            def either(
                first: Callable[[], Iterable[Any]], later: Callable[[], Iterable[Any]]
            ) -> Iterable[Any]:
                if isinstance(t, int):
                    return first() if t == 1 else later()
                return [ops.where(t == 1, *pair) for pair in zip(first(), later(), strict=True)]

            with _told(rule.name, keras.backend.backend()):
                letters = {**clock.letters(t), self._size: learning_rate}  # a cast takes numbers to float32
                letters = {
                    n: ops.cast(v, theta.dtype) if hasattr(v, "dtype") else v for n, v in letters.items()
                }
                if moving:
                    rest = [*either(lambda: rule.init(theta)[1:], lambda: rest)]
                state = (theta, *rest)
                body = functools.partial(rule.apply, rule.step, state, ask, letters)
                first = functools.partial(rule.apply, rule.first_step, state, ask, letters)
                made = either(first, body) if rule.has_first_step else body()
            # What is handed on as it is may be the memory that the next line writes.
            made = [ops.copy(new) if any(new is old for old in state) else new for new in made]
            for old, new in zip((variable, *kept), made, strict=True):
                self.assign(old, new)

        def get_config(self) -> dict[str, Any]:
            rule = self._clock.rule
            if _known().get(rule.name) != rule.base:
                raise RuleError(
                    f"{rule.base} is found under no name, and a file keeps names; save the weights alone."
                )
            letters = {n: v for n, v in rule.setting.items() if n != self._size}
            kept = {"rule": rule.name, "letters": keras.saving.serialize_keras_object(letters)}
            return {**super().get_config(), **kept}

        @classmethod
        def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
            if config["rule"] not in _known():
                raise RuleError(
                    f"no rule {config['rule']!r} is known here; import the module that defines it."
                )
            name, letters, rest = config["rule"], config["letters"], {**config}
            del rest["letters"]
            rule = _known()[name].at(**keras.saving.deserialize_keras_object(letters, custom_objects))
            return super().from_config({**rest, "rule": rule}, custom_objects)

    return RuleOptimizer


def _known() -> dict[str, Rule]:
    return {**NONLINEAR, **RULES}
