"""Edge to PyTorch: a rule as a class of optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from momentum_lib.adapters.edges import look_ahead_refused, one_number
from momentum_lib.clock import Clock, a_rule
from momentum_lib.definition import Rule

if TYPE_CHECKING:
    import torch

__all__ = ["as_torch"]


def as_torch(rule: Rule) -> type[torch.optim.Optimizer]:
    """Turn a rule into a subclass of ``torch.optim.Optimizer``.

    Its instances take PyTorch's names, ``lr`` for the step size and ``momentum`` for the momentum, or the
    rule's own letters, as numbers or functions of t (1 on the first step), also by parameter group; what is
    set on the rule is the default. The groups keep them under PyTorch's names. All parameters together are
    theta, one vector; each keeps its slots in ``optimizer.state``, so checkpoints work as usual. A parameter
    without a gradient stays as it is for that step, as in PyTorch.

    Parameters
    ----------
    rule : Rule
        Written in arithmetic, as those of `RULES` are.

    Returns
    -------
    type[torch.optim.Optimizer]
        ``step()`` reads the gradients that ``backward`` left. A rule that reads the gradient away from theta
        (Nesterov's look-ahead) needs ``step(closure)``, where `closure` clears the gradients, computes the
        loss, calls ``backward`` and returns the loss; it is called at every point the rule asks for, and
        ``step`` returns the loss of the first.

    Raises
    ------
    RuleError
        What is no rule; from the class, an open or unknown letter, or one under two names; from ``step``, a
        needed closure left out.

    Examples
    --------
    >>> import torch
    >>> from momentum_lib import heavy_ball
    >>> theta = torch.ones(2, requires_grad=True)
    >>> optimizer = as_torch(heavy_ball)([theta], lr=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (theta**2).sum().backward()
    ...     optimizer.step()
    >>> theta.tolist()
    [0.0, 0.0]
    """
    rule = a_rule(rule)
    import torch

    theirs = {
        letters[0]: name
        for name, letters in (("lr", rule.step_letters), ("momentum", rule.momentum_letters))
        if len(letters) == 1 and name not in rule.hyper
    }
    letter_of = {theirs.get(letter, letter): letter for letter in rule.hyper if letter != "t"}

    def in_letters(given: Mapping[str, Any]) -> dict[str, Any]:
        """PyTorch's names as letters; two names of one letter stay, for the rule to refuse."""
        own = {name: letter_of.get(name, name) for name in given}
        return {name if own[name] in given else own[name]: value for name, value in given.items()}

    def in_names(letters: Mapping[str, Any]) -> dict[str, Any]:
        return {theirs.get(letter, letter): value for letter, value in letters.items()}

    class RuleOptimizer(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, **letters: Any) -> None:
            super().__init__(params, in_names(rule.at(**in_letters(letters)).setting))

        def add_param_group(self, param_group: dict[str, Any]) -> None:
            own = {n: v for n, v in param_group.items() if n not in ("params", "param_names", "t")}
            bound = rule.at(**in_letters(self.defaults)).at(**in_letters(own))
            Clock(bound, one_number)
            rest = {n: v for n, v in param_group.items() if n not in own}
            super().add_param_group({"t": 0, **rest, **in_names(bound.setting)})

        def step(self, closure: Any = None) -> Any:
            with torch.no_grad():
                return self._step(closure)

        def _step(self, closure: Any) -> Any:
            groups = self.param_groups
            parts = [p for group in groups for p in group["params"] if p.requires_grad]
            theta = _flat(parts)
            losses: list[Any] = []

            def ask(x: Any) -> Any:
                if closure is not None:
                    _fill(parts, x)
                    with torch.enable_grad():
                        losses.append(closure())
                    _fill(parts, theta)
                elif x is not theta:
                    raise look_ahead_refused(rule, "pass step a closure that recomputes loss and gradient")
                return _flat([torch.zeros_like(p) if p.grad is None else p.grad for p in parts])

            t = 1 + max(group["t"] for group in groups)
            rest = rule.init(theta)
            kept = [
                _flat([self.state[p].get(name, at_rest) for p, at_rest in _pieces(parts, start)])
                for name, start in zip(rule.slots[1:], rest[1:], strict=True)
            ]
            settings = [{letter: group[name] for name, letter in letter_of.items()} for group in groups]
            clocks = [Clock(rule.at(**setting), one_number) for setting in settings]
            new, *slots = rule.apply(clocks[0].body(t), (theta, *kept), ask, self._letters(clocks, parts, t))
            moving = [p.grad is not None for p in parts]
            for moves, (p, value) in zip(moving, _pieces(parts, new), strict=True):
                if moves:
                    p.copy_(value)
            for name, slot in zip(rule.slots[1:], slots, strict=True):
                for moves, (p, value) in zip(moving, _pieces(parts, slot), strict=True):
                    if moves:
                        self.state[p][name] = value.clone()
            for group in groups:
                group["t"] = t
            return losses[0] if losses else None

        def _letters(self, clocks: list[Clock], parts: list[Any], t: int) -> dict[str, Any]:
            """The letters of step t: numbers, or vectors over theta where the groups differ."""
            sizes = [sum(p.numel() for p in g["params"] if p.requires_grad) for g in self.param_groups]
            each, out = [clock.letters(t) for clock in clocks], {}
            for name in each[0]:
                values = [letters[name] for letters in each]
                out[name] = values[0]
                if len(set(values)) > 1:
                    like = {"dtype": parts[0].dtype, "device": parts[0].device}
                    spread = zip(sizes, values, strict=True)
                    out[name] = torch.cat([torch.full((size,), value, **like) for size, value in spread])
            return out

    def _flat(tensors: list[Any]) -> Any:
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])

    def _pieces(parts: list[Any], vector: Any) -> list[tuple[Any, Any]]:
        """Each parameter with its piece of a vector over theta, in the parameter's shape."""
        sizes = [p.numel() for p in parts]
        return [(p, piece.view_as(p)) for p, piece in zip(parts, vector.split(sizes), strict=True)]

    def _fill(parts: list[Any], vector: Any) -> None:
        with torch.no_grad():
            for p, value in _pieces(parts, vector):
                p.copy_(value)

    RuleOptimizer.__name__ = RuleOptimizer.__qualname__ = f"{rule.name}_optimizer"
    RuleOptimizer.__doc__ = f"{rule.card['Summary']} A PyTorch optimizer; see `momentum_lib.as_torch`."
    return RuleOptimizer
