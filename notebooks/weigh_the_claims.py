"""How notebook 15 shows its ledger and its figures; the mathematics stands in its cells."""

from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.patches import Rectangle

from momentum_lib.collection import Notebook

HERE = Path(__file__).parent
#: A look for each regime: color, line, marker.
REGIMES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", (0, (6, 2)), "s"),
    ("#009E73", (0, (6, 2, 1, 2)), "D"),
    ("#CC79A7", (0, (9, 2)), "^"),
    ("black", (0, (1, 1.5)), "v"),
    ("#E69F00", "-", "P"),
    ("#666666", (0, (3, 1)), "X"),
)
SIGNS = {True: "✓", False: "✗"}
#: A color and a hatch for each verdict, told apart in grey too.
VERDICTS = {"true": ("#9BD3C0", ""), "true if": ("#F3D58A", "///"), "false": ("#E8A58A", "xx")}


def place(where):
    """A link to the section of a notebook whose heading has some words, given as number and words.

    Where the words are not found once, the link leads to the notebook; a test says so.
    """
    number, _, words = where.partition(" ")
    (file,) = HERE.glob(f"{number}_*.ipynb")
    found = [heading for heading in Notebook(file).headings if words in heading]
    if len(found) != 1:
        return f"[{number}]({file.name})"
    return f"[{number} · {found[0]}]({file.name}#{found[0].replace(' ', '-')})"


def table(ledger, parts):
    """Every claim with its verdict, the cases behind it, the kind of evidence and where more is told.

    `parts` names the groups of the claims, in order, with their sizes.
    """
    lines = ["| | claim | verdict | cases | evidence | more in |", "|--:|---|---|---|---|---|"]
    heads = dict(zip(np.cumsum([1, *parts.values()]), parts, strict=False))
    for number, (claim, row) in enumerate(ledger.items(), 1):
        if number in heads:
            lines.append(f"| | **{heads[number]}** | | | | |")
        cases = "<br>".join(f"{SIGNS[bool(holds)]} {case}" for case, holds in row["cases"].items())
        cells = (
            f"{claim} *({row['who']})*",
            f"**{row['verdict']}**",
            cases,
            row["kind"],
            place(row["where"]),
        )
        lines.append(f"| {number} | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return Markdown("\n".join(lines))


def draw_verdicts(ledger, parts, ax):
    """One numbered square a claim, a row a part; returns the numbers as a frame."""
    part = np.repeat(list(parts), list(parts.values()))
    found = pd.DataFrame({"part": part, "claim": list(ledger)})
    found["verdict"] = [row["verdict"] for row in ledger.values()]
    for row, (name, group) in enumerate(found.groupby("part", sort=False)):
        for column, (number, verdict) in enumerate(group["verdict"].items()):
            color, hatch = VERDICTS[verdict]
            look = {"facecolor": color, "edgecolor": "white", "hatch": hatch, "linewidth": 2}
            ax.add_patch(Rectangle((column, row - 0.5), 1, 1, **look))
            ax.text(column + 0.5, row, str(number + 1), ha="center", va="center", fontsize=9)
        ax.text(-0.2, row, name, ha="right", va="center")
    for k, (verdict, (color, hatch)) in enumerate(VERDICTS.items()):
        count = int((found["verdict"] == verdict).sum())
        ax.add_patch(Rectangle((10, 2 * k), 1, 1, facecolor=color, edgecolor="white", hatch=hatch))
        ax.text(11.2, 2 * k + 0.5, f"{verdict}: {count}", va="center")
    ax.set(xlim=(-4, 14), ylim=(len(parts) - 0.4, -0.6), aspect="equal")
    ax.axis("off")
    return found


def draw_limits(gamma, theory, axes):
    """The largest learning rate over the memory, one curve a regime: as eta, and as eta/(1 - gamma)."""
    for ax, unit in zip(axes, (1 + 0 * gamma, 1 - gamma), strict=True):
        for k, (name, limit) in enumerate(theory.items()):
            color, style, marker = REGIMES[k % len(REGIMES)]
            look = {"color": color, "linestyle": style, "marker": marker, "mfc": "none"}
            ax.loglog(1 / (1 - gamma), limit / unit, **look, markevery=(3 * k, 23), lw=1.6, label=name)
        ticks = np.array([0, 0.5, 0.9, 0.99])
        top = ax.secondary_xaxis("top")
        top.set_xticks(1 / (1 - ticks), [f"{tick:g}" for tick in ticks])
        top.minorticks_off()
        top.set_xlabel("gamma")
        ax.set(xlabel="memory 1/(1 − gamma), steps (log scale)")
    axes[0].set_ylabel("largest eta·L (log scale)")
    axes[1].set_ylabel("largest eta·L/(1 − gamma) (log scale)")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
