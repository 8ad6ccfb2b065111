"""What is computed about every rule for its page, kept until the code it hangs on is another."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib

import momentum_lib
from momentum_lib import NONLINEAR, RULES, Rule, heavy_ball
from momentum_lib.collection import write_whole

#: Condition numbers of the table of settings; curvatures go from 1/kappa to 1.
KAPPAS = (10, 100, 1_000, 10_000)
#: Values of the one letter beside the step size, in the table of limits.
MOMENTA = (0.1, 0.5, 0.9, 0.99)
#: The rooms that what is kept here hangs on, in the library.
ROOMS = ("definition", "letters", "rules", "clock", "runner", "nonlinear", "problems", "spectrum", "plots",
         "conversions", "identification", "symbolic", "oscillation", "tuning", "explorer")  # fmt: skip


@functools.cache
def every_rule() -> Mapping[str, Rule]:
    """The rules that have a page: the shipped ones, and one of each family."""
    made = {
        "clipped": momentum_lib.clipped(heavy_ball),
        "function_restart": momentum_lib.function_restart(_f),
        "lookahead": momentum_lib.lookahead(heavy_ball),
    }
    shipped = {name: rule for name, rule in RULES.items() if rule.__module__ == "momentum_lib.rules"}
    return {**shipped, **NONLINEAR, **made}


def _f(theta: Any) -> Any:
    """The ravine of the pictures: half of x²/20 + y²."""
    return (theta**2 @ (0.05, 1.0)) / 2


def card(rule: Rule) -> dict[str, str]:
    """The card of a rule; of a factory's member, the summary alone."""
    try:
        return rule.card
    except ValueError:  # a docstring that is no card
        return {"Summary": " ".join((rule.__doc__ or "").split("\n\n")[0].split()), "Display": ""}


def facts(root: Path, kept: Path) -> dict[str, dict[str, Any]]:
    """What is computed about every rule, or was kept from an earlier build."""
    digest = _digest(root)
    return {name: _facts(kept, digest, name, rule) for name, rule in every_rule().items()}


def _digest(root: Path) -> str:
    library, kinds = root / "momentum_lib", (".py", ".js", ".css", ".html")
    files = [f for room in ROOMS for f in [library / f"{room}.py", *(library / room).rglob("*")]]
    files = [f for f in files if f.is_file() and f.suffix in kinds]
    found = hashlib.sha256(Path(__file__).read_bytes())
    for file in sorted(files):
        found.update(file.read_bytes())
    for package in ("numpy", "scipy", "sympy", "matplotlib"):
        found.update(importlib.metadata.version(package).encode())
    return found.hexdigest()


def _facts(kept: Path, digest: str, name: str, rule: Rule) -> dict[str, Any]:
    file = kept / f"{name}.json"
    if file.is_file():
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["digest"] == digest:
            return known
    facts = {"digest": digest, **_computed(name, rule)}
    drawn, facts["picture"] = _picture(rule)
    write_whole(kept / f"{name}.png", drawn)
    momentum_lib.explore(rule).save(kept / f"{name}.html")
    write_whole(file, json.dumps(facts, indent=1).encode())
    return facts


def _computed(name: str, rule: Rule) -> dict[str, Any]:
    from momentum_lib import NotLinear, characteristic_polynomial, jury_conditions, latex, stability_limit

    try:
        formula = latex(rule)
    except (TypeError, ValueError):  # more than arithmetic
        formula = ""
    facts: dict[str, Any] = {"latex": formula, "refusal": ""}
    try:
        facts["polynomial"] = latex(characteristic_polynomial(rule))
    except NotLinear as error:
        return {**facts, "refusal": str(error)}
    except TypeError:
        return {
            **facts,
            "refusal": f"{rule.name} computes with more than arithmetic, so it has no iteration matrix.",
        }
    facts["jury"] = [latex(condition) for condition in jury_conditions(rule)]
    best = _best(rule, 100)
    beside = [n for n in rule.free if n not in rule.step_letters]
    if len(rule.step_letters) == 1 and len(beside) == 1:
        limits = [(g, float(stability_limit(rule.at(**{beside[0]: g})))) for g in MOMENTA]
        facts["limits"] = {"letter": beside[0], "rows": limits}
    facts["limit"] = {"at": str(best), "value": float(stability_limit(best))}
    facts["tunings"] = [_tuning(rule, kappa) for kappa in KAPPAS]
    facts["alike"] = [*_alike(name)]
    return facts


@functools.cache
def _best(rule: Rule, kappa: float) -> Rule:
    """The best setting, by a theorem where there is one, else found by search."""
    try:
        return momentum_lib.tune(rule, 1 / kappa, 1)
    except ValueError:
        return momentum_lib.minimax(rule, 1 / kappa, 1)


def _tuning(rule: Rule, kappa: float) -> dict[str, Any]:
    best = _best(rule, kappa)
    values = {n: v for n, v in best.setting.items() if n in rule.free}
    ball = momentum_lib.tune(heavy_ball, 1 / kappa, 1)
    away = max((abs(v) for v in values.values() if isinstance(v, float)), default=0) > 10 * kappa
    return {
        "kappa": kappa,
        "setting": {n: f"{v:.4g}" for n, v in values.items()},
        "rate": best.rate,
        "theorem": best.theorem or "",
        "kind": best.kind or "",
        "runs_off": bool(away and best.rate is not None and abs(best.rate - ball.rate) < 1e-3),
    }


def _alike(name: str) -> Iterator[dict[str, Any]]:
    """The rules that contain this one or are contained in it: the letters, and what is proved of the pair."""
    from sympy import Rational, symbols

    from momentum_lib import CONVERSIONS, equivalent, latex
    from momentum_lib.conversions import formula

    for (special, general), way in CONVERSIONS.items():
        if name not in (special.name, general.name):
            continue
        proof = equivalent(special, general, way.there)
        letters = way.there if name == special.name else way.back
        yield {
            "other": general.name if name == special.name else special.name,
            "contains": name == general.name,
            "letters": [
                f"{latex(symbols(k))} = {latex(formula(v, symbols, Rational))}" for k, v in letters.items()
            ],
            "iterate": proof.iterate,
            "first": proof.same_first_step,
        }


def _picture(rule: Rule) -> tuple[bytes, str]:
    """The damping atlas; of a rule that has none, its path in a ravine."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"backend": "agg", "figure.dpi": 100}):
        try:
            picture = momentum_lib.plot_atlas(_plane(rule))
            caption = picture.caption
        except ValueError:
            picture, caption = _path(rule)
        buffer = io.BytesIO()
        picture.fig.savefig(buffer, format="png", dpi=130)
        plt.close(picture.fig)
    return buffer.getvalue(), caption


def _plane(rule: Rule) -> Rule:
    """The rule with its step size and one more letter open, the others at their best for kappa = 100."""
    if len(rule.step_letters) != 1 or len(rule.free) < 3:
        return rule
    open_ = {rule.step_letters[0], rule.momentum_letters[0]}
    best = _best(rule, 100).setting
    return rule.at(**{n: best[n] for n in rule.free if n not in open_})


def _path(rule: Rule) -> tuple[Any, str]:
    """Sixty steps in a ravine, at the best of some step sizes; other letters at 0.9 or their usual values."""
    import numpy as np

    ravine, start, steps = momentum_lib.Quadratic([0.05, 1.0]), np.array([-6.0, 2.2]), 60
    others = {"period": 20, "threshold": 1.0}
    if rule.name not in RULES:
        rest = rule.at(**{n: others.get(n, 0.9) for n in rule.free if n != "eta"})
        tried = [rest.at(eta=h) for h in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5)]
        ends = [momentum_lib.run(r, ravine.grad, start, steps).theta[-1] for r in tried]
        at = tried[int(np.nanargmin([np.linalg.norm(end) for end in ends]))]
        how = "the best of seven step sizes"
    else:
        at, how = _best(rule, 20), "its best setting"
    picture = momentum_lib.plot_path(at, ravine, start, steps)
    return picture, f"{steps} steps of {at} in a ravine of condition number 20, at {how}."
