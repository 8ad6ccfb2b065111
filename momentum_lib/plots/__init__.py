"""Figures: one style, one way to save, one look for each rule.

Importing this package applies ``momentum.mplstyle``, so a notebook that imports `save` in its set-up
cell draws in the style of the collection. The views lie beside this file: runs in ``paths``, maps over two
letters in ``maps``, curves in ``curves``; each returns a `Picture`, which brings its numbers.

Draw maps with ``imshow``, or pass ``rasterized=True``: a vector map of 400 x 400 cells is 31 MB. A map
wants ``ax.grid(False)``, its unstable part `hatch_unstable`.
"""

from __future__ import annotations

import functools
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.mathtext import MathTextParser
from numpy.typing import ArrayLike

from momentum_lib.clock import a_rule, brief, reals
from momentum_lib.collection import Execution, check_name, find_root, write_whole
from momentum_lib.definition import Rule
from momentum_lib.plots.canvas import Picture, columns_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["THEORY", "hatch_unstable", "label_end", "rule_style", "save"]

matplotlib.style.use(Path(__file__).with_name("momentum.mplstyle"))


def _remember_labels() -> None:
    """Parse a label once a resolution: half the time of a picture goes into that.

    Matplotlib keeps fifty parsed texts and makes a parser for every drawing, of which a figure that is saved
    and shown takes nine; what one has parsed, another does again. Parsers of one kind give the same.
    """
    parser: Any = MathTextParser
    parse = getattr(getattr(parser, "_parse_cached", None), "__wrapped__", None)
    if parse is None:  # Matplotlib has changed: a picture only takes longer
        return
    kinds: dict[str, MathTextParser[Any]] = {}

    @functools.lru_cache(2048)
    def parsed(kind: str, *told: Any) -> Any:
        return parse(kinds[kind], *told)

    @functools.wraps(parse)
    def of_its_kind(self: Any, *told: Any) -> Any:
        kinds.setdefault(self._output_type, self)
        return parsed(self._output_type, *told)

    parser._parse_cached = of_its_kind


_remember_labels()

#: How theory is drawn: thin, dashed, black, above the measurement.
THEORY: Final[dict[str, Any]] = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.0, "zorder": 3}

CSV_LIMIT: Final = 300_000
SVG_LIMIT: Final = 2_000_000
_CELL = 16  # bytes of the longest number printed to nine digits, with its comma
_PRINTED: Final = {"f": "%.9g", "i": "%d", "u": "%d", "b": "%d"}

_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY, _GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#666666",
)
_DASH, _DOT_DASH, _DOT, _LONG = (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (1, 1.5)), (0, (9, 2))

#: A family shares a color; within it the line style tells the members apart.
_LOOK: Final[dict[str, tuple[str, Any, str]]] = {
    "gradient_descent": (_GREY, "-", "s"),
    "heavy_ball": (_BLUE, "-", "o"),
    "polyak_two_step": (_BLUE, _DASH, "o"),
    "torch_sgd": (_BLUE, _DOT_DASH, "<"),
    "keras_sgd": (_BLUE, _DOT, ">"),
    "ema": (_BLUE, _LONG, "p"),
    "bias_corrected": (_SKY, _DASH, "h"),
    "nesterov": (_VERMILION, _DASH, "^"),
    "torch_nesterov": (_VERMILION, _DOT_DASH, "<"),
    "keras_nesterov": (_VERMILION, _DOT, ">"),
    "mass": (_VERMILION, _LONG, "v"),
    "qhm": (_GREEN, _DOT_DASH, "D"),
    "accsgd": (_GREEN, _LONG, "d"),
    "aggregated": (_PURPLE, _DASH, "P"),
    "primal_average": (_SKY, "-", "8"),
    "triple_momentum": (_ORANGE, "-", "*"),
    "robust_momentum": (_ORANGE, _DASH, "X"),
    "ogm": (_PURPLE, _DOT, "v"),
    "item": (_ORANGE, _DOT, ">"),
    "pid": (_GREEN, _DOT, "<"),
    "chebyshev": (_GREY, _DOT, "H"),
    "averaged_heavy_ball": (_SKY, _LONG, "8"),
    "schedule_free": (_SKY, _DOT_DASH, "8"),
    "ema_mixture": (_PURPLE, _DOT_DASH, "P"),
    "optimistic_gradient": (_PURPLE, "-", "d"),
}


def rule_style(rule: Rule | str) -> dict[str, Any]:
    """Color, line style and marker of a rule, the same in every figure.

    A rule of a student's own gets a look from its name, so it keeps it too. Markers stand at a few
    places along the line; for a path of few points override with ``| {"markevery": 1}``.

    Returns
    -------
    dict
        Keyword arguments of ``ax.plot``: color, linestyle, marker, markevery.

    Examples
    --------
    >>> rule_style("nesterov")["color"], rule_style("my_rule") == rule_style("my_rule")
    ('#D55E00', True)
    """
    name = rule if isinstance(rule, str) else a_rule(rule).name
    if name in _LOOK:
        color, line, marker = _LOOK[name]
    else:
        seed = zlib.crc32(name.encode())
        color = (_PURPLE, _ORANGE, _GREEN, _SKY)[seed % 4]
        line = (_DOT, _LONG, _DOT_DASH)[seed // 4 % 3]
        marker = ("v", "D", "X", "P", "*")[seed // 12 % 5]
    return {"color": color, "linestyle": line, "marker": marker, "markevery": 0.25}


def label_end(ax: Axes, line: Line2D, text: str) -> None:
    """Write a curve's name at its last finite point, in its color, below the names already there."""
    if not isinstance(line, Line2D):
        raise ValueError(f"{brief(line)} is no line; give the one of (line,) = ax.plot(...).")
    x, y = (np.ravel(np.asarray(values, float)) for values in line.get_data())
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if finite.size == 0:
        raise ValueError(f"The line to be labeled {text!r} has no finite point; label one that was drawn.")
    end = (x[finite[-1]], y[finite[-1]])
    above = sum(np.allclose(getattr(name, "xy", np.nan), end, rtol=1e-6, atol=0) for name in ax.texts)
    ax.annotate(
        text,
        end,
        xytext=(6, -12 * above),
        textcoords="offset points",
        va="center",
        color=line.get_color(),
        annotation_clip=False,
    )


def hatch_unstable(ax: Axes, x: ArrayLike, y: ArrayLike, mask: ArrayLike) -> None:
    """Hatch where `mask` (rows: y, columns: x) is true, so that instability is not told by color alone."""
    x, y, mask = reals("x", x), reals("y", y), reals("mask", mask)
    if mask.shape != (*y.shape, *x.shape):
        raise ValueError(
            f"mask has shape {mask.shape}; give rows for {y.size} y, and columns for {x.size} x."
        )
    if mask.any():
        ax.contourf(x, y, mask, levels=[0.5, 1.5], colors="none", hatches=["////"])


def save(
    fig: Figure | Picture | Sequence[Picture],
    name: str,
    data: Mapping[str, ArrayLike] | pd.DataFrame | None = None,
    *,
    caption: str | None = None,
    alt: str | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    pdf: bool = False,
) -> None:
    """Save a figure as NAME.png and NAME.svg, and the numbers it shows as NAME.csv.

    The files go where the `Execution` says: to ``figures/`` under ``momentum reproduce``, to a folder of
    their own under the tests. Where nothing says, a reader is playing: they go to ``.momentum/figures``,
    which git ignores, and a line says so; the committed figures stay. Where a reference is named, the
    numbers are compared with the CSV there, within the tolerances of its first line. The layout is solved
    once: what is shown after the cell stands where it stands in the files.

    Parameters
    ----------
    fig : Figure, Picture or several Pictures of one figure
        What a view returns brings its numbers; those of several stand under each other, told apart by the
        column ``panel``.
    name : str
        Lower-case words joined by hyphens, written out at the call: the map from figure to notebook
        is read from the notebooks' text.
    data : mapping of str to array, or DataFrame
        For a Figure: arrays of up to two dimensions, real, boolean or text. A two-dimensional array becomes
        one column for each of its columns. More than 300 kB are thinned, and the first line says how.
    caption : str, optional
        What to see, in a sentence or two, for the gallery; that of a single Picture by default.
    alt : str, optional
        What a reader who does not see the picture is told; the caption by default.
    rtol, atol : float
        How far the numbers may move on another machine: atol + rtol |reference|.
    pdf : bool
        Write NAME.pdf too, its fonts embedded as TrueType.

    Raises
    ------
    ValueError
        A bad name, no data, empty, complex or three-dimensional data, or an SVG over 2 MB.
    AssertionError
        The numbers differ from the reference; names figure, column, row and both values.
    """
    check_name("A figure", name)
    if not isinstance(fig, Figure):
        views = [fig] if isinstance(fig, Picture) else list(fig) if isinstance(fig, Sequence) else []
        if not views or not all(isinstance(view, Picture) for view in views):
            raise ValueError(f"{brief(fig)} is no picture; give save what a view returns, or a Figure.")
        fig, caption = views[0].fig, caption or " ".join(view.caption for view in views)
        data = (views[0].data if len(views) == 1 else _joined(views)) if data is None else data
    if not isinstance(data, Mapping) and not hasattr(data, "columns"):
        raise ValueError(f"Figure {name} comes without numbers; pass save the arrays it shows.")
    header, columns = _columns(name, data)
    told = {"caption": caption} | ({"alt": alt} if alt else {}) if caption else {}
    header = {"title": _title(fig, name), **told, "rtol": rtol, "atol": atol, **header}
    pictures = {}
    formats = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    formats |= {"pdf": {"CreationDate": None}} if pdf else {}
    for kind, metadata in formats.items():
        buffer = io.BytesIO()
        with matplotlib.rc_context({"pdf.fonttype": 42, "figure.constrained_layout.use": False}):
            fig.savefig(buffer, format=kind, metadata=metadata)
            fig.set_layout_engine(None)  # solved by the first drawing, and that is half of a drawing's time
        pictures[kind] = buffer.getvalue()
    fig.stale = False  # drawn just now: after the cell Matplotlib would draw it once more, for nobody
    if len(pictures["svg"]) > SVG_LIMIT:
        raise ValueError(
            f"The SVG of {name} takes {len(pictures['svg']) / 1e6:.1f} MB; "
            f"draw maps with imshow or pass rasterized=True."
        )
    execution = Execution.here()
    folder = Path(execution.figures or find_root() / ".momentum" / "figures")
    text = _to_csv(header, columns)
    for kind, content in {**pictures, "csv": text.encode()}.items():
        write_whole(folder / f"{name}.{kind}", content)
    if not execution.figures:
        print(f"saved beside the committed figures, in .momentum/figures/{name}.png")
    if execution.figures_reference:
        if found := difference(name, text, Path(execution.figures_reference) / f"{name}.csv"):
            raise AssertionError(found)


def _joined(views: Sequence[Picture]) -> dict[str, Any]:
    """The columns of several views under each other, with the panel each row belongs to."""
    import pandas as pd

    parts = {
        view.ax.get_title(loc="left") or view.ax.get_title() or f"panel {number}": _columns("", view.data)[1]
        for number, view in enumerate(views, start=1)
    }
    frames = [
        pd.DataFrame({key: pd.Series(values) for key, values in part.items()}) for part in parts.values()
    ]
    table = pd.concat(frames, keys=parts, names=["panel", None]).reset_index(level=0).reset_index(drop=True)
    return {str(key): table[key].to_numpy() for key in table}


def _title(fig: Figure, name: str) -> str:
    titles = [fig.get_suptitle(), *(ax.get_title(loc) for ax in fig.axes for loc in ("left", "center"))]
    first = next((title for title in titles if title), name.replace("-", " ").capitalize())
    return " ".join(first.split())


def _columns(
    name: str, data: Mapping[str, ArrayLike] | pd.DataFrame
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One-dimensional columns, thinned where the file would grow too large, and what was done."""
    try:
        arrays = {str(key): np.atleast_1d(np.asarray(data[key])) for key in data}
    except ValueError:
        raise ValueError(
            f"Figure {name} has rows of several lengths in a column; pass real arrays."
        ) from None
    if not arrays or not all(array.size for array in arrays.values()):
        raise ValueError(f"Figure {name} comes without numbers; pass save the arrays it shows.")
    for key, array in arrays.items():
        if array.ndim > 2 or array.dtype.kind == "c":
            kind = "complex" if array.dtype.kind == "c" else f"{array.ndim}-dimensional"
            raise ValueError(
                f"Column {key!r} of figure {name} is {kind}; pass real arrays of at most two dimensions."
            )
    # Decided on shapes alone: the same on every machine.
    short, step = 64, 1
    while sum(_bytes(_thin(array, short, step)) for array in arrays.values()) > CSV_LIMIT - 1000:
        step += 1
    note = {"thinned": f"one entry in {step} kept along axes longer than {short}"} if step > 1 else {}
    return note, columns_of({key: _thin(array, short, step) for key, array in arrays.items()})


def _thin(array: Any, short: int, step: int) -> Any:
    return array[tuple(slice(None, None, step if length > short else 1) for length in array.shape)]


def _bytes(array: Any) -> int:
    if array.dtype.kind in "biuf":
        return int(array.size) * _CELL
    return sum(len(str(item).encode()) + 3 for item in array.flat)


def _to_csv(header: Mapping[str, Any], columns: Mapping[str, Any]) -> str:
    import pandas as pd

    printed = {
        key: pd.Series(np.char.mod(_PRINTED.get(column.dtype.kind, "%s"), column))
        for key, column in columns.items()
    }
    # Shorter columns end in empty cells; a nan is the text "nan".
    table = pd.DataFrame(printed).to_csv(index=False, lineterminator="\n")
    return f"# {json.dumps(header, ensure_ascii=False)}\n{table}"


def difference(name: str, text: str, reference: Path) -> str:
    """Where new numbers leave the committed ones, by the committed tolerances; empty where nowhere."""
    import pandas as pd

    if not reference.is_file():
        return f"Figure {name} has no committed {reference.name}; run `momentum reproduce {name}`."
    committed = reference.read_text(encoding="utf-8")
    header = json.loads(committed.partition("\n")[0].removeprefix("#"))
    ours, theirs = (
        pd.read_csv(io.StringIO(each), skiprows=1, dtype=object, keep_default_na=False)
        for each in (text, committed)
    )
    if list(ours) != list(theirs):
        changed = sorted(set(ours) ^ set(theirs)) or list(ours)
        return f"Figure {name} has other columns than {reference.name}: {', '.join(changed)}."
    if len(ours) != len(theirs):
        return f"Figure {name}: {len(ours)} rows here, {len(theirs)} in {reference.name}."
    for column in theirs:
        new, old = ours[column], theirs[column]
        x, y = (pd.to_numeric(each, errors="coerce").astype(float) for each in (new, old))
        close = np.isclose(x, y, rtol=header["rtol"], atol=header["atol"])
        for row in np.flatnonzero((new != old) & ~close):
            return (
                f"Figure {name}, column {column}, row {row}: {new[row]} here, {old[row]} in {reference.name} "
                f"(rtol {header['rtol']:g}, atol {header['atol']:g})."
            )
    return ""
