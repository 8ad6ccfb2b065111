"""A page a rule, printed from the rule: card and lines, what is computed from them, where it is used."""

from __future__ import annotations

import ast
import inspect
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import references
from rule_facts import card, every_rule

from momentum_lib import RULES, Rule
from momentum_lib.collection import Notebook


def pages(
    facts: Mapping[str, dict[str, Any]], kept: Path, users: Mapping[str, list[Notebook]]
) -> Iterator[tuple[str, str | bytes]]:
    """All pages of rules, their pictures, and the page that lists them."""
    for name, rule in every_rule().items():
        yield f"rules/{name}.png", (kept / f"{name}.png").read_bytes()
        yield f"extra/explore/{name}.html", (kept / f"{name}.html").read_bytes()
        yield f"rules/{name}.md", _page(name, rule, facts[name], users.get(name, []))
    yield "rules/index.md", _index()


def _index() -> str:
    lines = [
        "# Rules", "",
        "Every variant of momentum, written once. Each page is printed from the rule itself: its card, its",
        "lines, and what the library computes from them.", "",
    ]  # fmt: skip
    linear = [name for name in every_rule() if name in RULES]
    groups = {
        "Linear in state and gradient": linear,
        "Not linear": [name for name in every_rule() if name not in linear],
    }
    for title, names in groups.items():
        lines += ["", f"## {title}", "", "| rule | what it is | gradient read at |", "|---|---|---|"]
        for name in names:
            told = card(every_rule()[name])
            where = told.get("Gradient read at", "").split(",")[0].split(";")[0]
            read = f"`{where}`" if where else "as the rule given"
            lines.append(f"| [`{name}`]({name}.md) | {told['Summary']} | {read} |")
    lines += ["", "```{toctree}", ":hidden:", "", *every_rule(), "```", ""]
    return "\n".join(lines)


def _page(name: str, rule: Rule, facts: dict[str, Any], users: list[Notebook]) -> str:
    parts = [
        _head(name, rule),
        _lines(rule),
        _symbols(rule, facts),
        _card(rule),
        _play(name),
        _stability(rule, facts),
    ]
    parts += [_tunings(rule, facts), _alikes(name, facts), _seen(name, rule, facts), _notebooks(users)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(name: str, rule: Rule) -> str:
    factory = {"clipped": "(rule)", "function_restart": "(value)", "lookahead": "(rule)"}
    signature = factory.get(name) or str(inspect.signature(rule)).replace(", /", "")
    indexed = "\n:no-index:" if name in factory else ""  # a factory has its entry in the reference
    return f"""# {name}

{card(rule)["Summary"]}

```{{py:currentmodule}} momentum_lib
```

```{{py:function}} {name}{signature}
:no-contents-entry:{indexed}
```"""


def _lines(rule: Rule) -> str:
    steps = [rule.base.first_step, rule.base.step] if rule.has_first_step else [rule.base.step]
    texts = [_bare(step, rule.name) for step in steps]
    called = dict.fromkeys(name for step in steps for name in step.__code__.co_names if name.startswith("_"))
    texts += [_bare(steps[0].__globals__[name], name) for name in called]
    return "## Its lines\n\n```python\n" + "\n\n\n".join(texts) + "\n```"


def _bare(function: Any, name: str) -> str:
    """The text of a function without docstring and annotations: the lines of a rule, as a paper has them."""
    text = textwrap.dedent(inspect.getsource(function))
    (tree,) = ast.parse(text).body
    if not any(isinstance(node, ast.arg) and node.annotation for node in ast.walk(tree)):
        return re.sub(r'\n +""".*?"""', "", text, count=1, flags=re.DOTALL).rstrip()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
            node.body = node.body[ast.get_docstring(node) is not None :]
    tree.name = name
    return ast.unparse(tree)


def _symbols(rule: Rule, facts: dict[str, Any]) -> str:
    return facts["latex"] and f"The same, run on symbols:\n\n$$\n{facts['latex']}\n$$"


def _card(rule: Rule) -> str:
    told = card(rule)
    lines = ["## Card"]
    if told["Display"]:
        lines.append(f"```text\n{told['Display']}\n```")
    for field, text in told.items():
        if field in ("Summary", "Display"):
            continue
        if field in ("Not to be confused with", "Reports"):
            text = _names_linked(text)
        if field == "Source":
            text = references.linked(_plain(text))
        elif field in ("Gradient read at", "Units", "Start"):
            text = _coded(text)
        lines.append(f"{field}\n: {text}")
    return "\n\n".join(lines) if len(lines) > 1 else ""


def _plain(text: str) -> str:
    return re.sub(r"([\\*_$^|<>])", r"\\\1", text)


def _coded(text: str) -> str:
    """What stands before the first words is code: `theta - gamma*v`, the look-ahead."""
    code, comma, rest = text.partition(", the look-ahead")
    if comma:
        return f"`{code}`{comma}{_plain(rest)}"
    return _plain(text) if re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", text) else f"`{text}`"


def _names_linked(text: str) -> str:
    names = sorted(every_rule(), key=len, reverse=True)
    parts = re.split(rf"\b({'|'.join(names)})\b(?![\w(])", text)
    return "".join(f"[`{part}`]({part}.md)" if n % 2 else _plain(part) for n, part in enumerate(parts))


def _stability(rule: Rule, facts: dict[str, Any]) -> str:
    if facts["refusal"]:
        why = _plain(facts["refusal"])
        return f"## Stability\n\nNothing that rests on one matrix a curvature applies: {why}"
    lines = ["## Stability"]
    when = " in the limit of many steps" if rule.counts else ""
    lines.append(f"Its characteristic polynomial at curvature $\\lambda${when}:")
    lines.append(f"$$\n{facts['polynomial']}\n$$")
    lines.append(
        "It is stable where all of these hold (Jury 1964):".replace(
            "Jury 1964", references.linked("Jury 1964")
        )
    )
    conditions = " \\\\\n".join(f"&{condition}" for condition in facts["jury"])
    lines.append(f"$$\n\\begin{{aligned}}\n{conditions}\n\\end{{aligned}}\n$$")
    if limits := facts.get("limits"):
        letter = limits["letter"]
        step = rule.step_letters[0]
        lines.append(f"The largest stable `{step}`·`lam`:")
        rows = " | ".join(f"{value:.4g}" for _, value in limits["rows"])
        head = " | ".join(f"{value:g}" for value, _ in limits["rows"])
        lines.append(f"| `{letter}` | {head} |\n|---|{'---|' * len(limits['rows'])}\n| limit | {rows} |")
    else:
        at = facts["limit"]
        lines.append(f"At `{at['at']}` it is stable below curvature {at['value']:.5g}.")
    return "\n\n".join(lines)


def _tunings(rule: Rule, facts: dict[str, Any]) -> str:
    if facts["refusal"]:
        return ""
    lines = [
        "## Best settings",
        "On quadratics with curvatures from $1/\\kappa$ to 1, by the worst factor per step.",
    ]
    letters = list(facts["tunings"][0]["setting"])
    table = [f"| kappa | {' | '.join(f'`{n}`' for n in letters)} | factor per step | steps per factor e |"]
    table.append("|---" * (len(letters) + 3) + "|")
    for row in facts["tunings"]:
        time = -1 / math.log(row["rate"]) if 0 < row["rate"] < 1 else math.inf
        values = " | ".join("runs off" if row["runs_off"] else v for v in row["setting"].values())
        table.append(f"| {row['kappa']:,} | {values} | {row['rate']:.6g} | {time:.1f} |".replace(",", " "))
    lines.append("\n".join(table))
    last = facts["tunings"][-1]
    if any(row["runs_off"] for row in facts["tunings"]):
        lines.append("*Runs off*: the search follows the letters towards infinity, where the rule tends to "
                     "[`heavy_ball`](heavy_ball.md) and to its rate.")  # fmt: skip
    how = references.linked(_plain(last["theorem"]))
    kind = f" ({last['kind']})" if last["kind"] else ""
    lines.append(f"How they are known: {how}{kind}.")
    return "\n\n".join(lines)


def _alikes(name: str, facts: dict[str, Any]) -> str:
    if not facts.get("alike"):
        return ""
    lines = [
        "## Look-alikes",
        "Proved on symbols, for constant letters and a start at rest.",
        "",
        "| rule | relation | its letters, in those of this page | it reports |",
        "|---|---|---|---|",
    ]
    for row in facts["alike"]:
        relation = f"contained in `{name}`" if row["contains"] else f"contains `{name}`"
        letters = ", ".join(f"${text}$" for text in row["letters"]) or "the same"
        point = "the same theta" if row["iterate"] else "another point"
        lines.append(f"| [`{row['other']}`]({row['other']}.md) | {relation} | {letters} | {point} |")
    return "\n".join(lines[:2]) + "\n" + "\n".join(lines[2:])


def _play(name: str) -> str:
    return f"""## Play

<iframe class="explorer" src="../explore/{name}.html" loading="lazy" sandbox="allow-scripts"
 title="Explorer of {name}"></iframe>

The same page alone: <a href="../explore/{name}.html">{name}</a>."""


def _seen(name: str, rule: Rule, facts: dict[str, Any]) -> str:
    title = "## Damping atlas" if "atlas" in facts["picture"] else "## In a ravine"
    alt = " ".join(facts["picture"].split())
    parts = [title, f":::{{figure}} {name}.png\n:alt: {alt}\n{_plain(alt)}\n:::"]
    return "\n\n".join(parts)


def _notebooks(users: list[Notebook]) -> str:
    if not users:
        return ""
    links = [f"- [{n.number} · {n.title}](../notebooks/{n.stem}.ipynb)" for n in users]
    return "## In the notebooks\n\n" + "\n".join(links)
