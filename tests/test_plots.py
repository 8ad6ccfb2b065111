"""Saving a figure with its numbers, comparing them, and the look of each rule."""

import functools
import io
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from momentum_lib import RULES, THEORY, hatch_unstable, label_end, rule_style, save
from momentum_lib.plots import CSV_LIMIT, _remember_labels
from momentum_lib.plots.canvas import Picture


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUM_FIGURES", str(tmp_path / "figures"))
    monkeypatch.delenv("MOMENTUM_FIGURES_REFERENCE", raising=False)
    return tmp_path / "figures"


def a_line():
    fig = Figure(figsize=(3, 2))
    fig.subplots().plot([0, 1], [1, 3])
    fig.axes[0].set_title(r"$\sqrt{\kappa}$ and $\rho$")
    return fig


@pytest.fixture
def fig():
    return a_line()


def kept(folder):
    """The bytes of each file of figure one."""
    return {path.suffix: path.read_bytes() for path in folder.glob("one.*")}


def read(file):
    with file.open() as lines:
        header = json.loads(lines.readline().removeprefix("#"))
    return header, pd.read_csv(file, comment="#")


def test_three_files_and_nothing_else(folder, fig):
    fig.axes[0].set_title("A cliff")
    assert save(fig, "gamma-cliff", {"gamma": [0.0, 0.5], "rho": [1.0, 0.25]}) is None
    assert {p.name for p in folder.iterdir()} == {f"gamma-cliff.{kind}" for kind in ("csv", "png", "svg")}
    assert (folder / "gamma-cliff.csv").read_text() == (
        '# {"title": "A cliff", "rtol": 1e-06, "atol": 1e-09}\ngamma,rho\n0,1\n0.5,0.25\n'
    )


def test_a_label_is_parsed_once_a_resolution_and_no_byte_changes(folder, monkeypatch):
    ours, told = MathTextParser._parse_cached, []

    def parse(self, *arguments):
        told.append((self._output_type, *arguments[:2]))
        return ours.__wrapped__(self, *arguments)

    save(a_line(), "one", {"x": [1.0]})
    pictures = kept(folder)
    monkeypatch.setattr(MathTextParser, "_parse_cached", functools.lru_cache(50)(parse))
    counts = []
    for remember in (lambda: None, _remember_labels):  # as Matplotlib does it, and as we do
        remember()
        told.clear()
        for _ in range(2):
            save(a_line(), "one", {"x": [1.0]})
            assert kept(folder) == pictures
        counts.append(len(told))
    assert len({*told}) == counts[1] < counts[0]


def test_the_layout_is_solved_once_for_all_files_and_for_what_is_shown(folder, fig, monkeypatch):
    solved = []
    monkeypatch.setattr(fig.get_layout_engine(), "execute", solved.append)
    save(fig, "one", {"x": [1.0]}, pdf=True)
    assert not fig.stale
    fig.savefig(io.BytesIO(), bbox_inches="tight")  # as a notebook shows it
    assert solved == [fig]


def test_the_same_drawing_gives_the_same_bytes(folder, fig):
    save(fig, "one", {"x": [1.0]})
    first = kept(folder)
    save(a_line(), "one", {"x": [1.0]})
    assert kept(folder) == first and len(first) == 3


def test_a_reader_who_plays_leaves_the_committed_figures_alone(tmp_path, monkeypatch, fig, capsys):
    monkeypatch.delenv("MOMENTUM_FIGURES", raising=False)
    monkeypatch.delenv("MOMENTUM_FIGURES_REFERENCE", raising=False)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    save(fig, "one", {"x": [1.0]})
    assert (tmp_path / ".momentum/figures/one.png").is_file() and not (tmp_path / "figures").exists()
    assert ".momentum/figures/one.png" in capsys.readouterr().out


def test_caption_and_alt_text_are_data(folder, fig):
    save(fig, "one", {"x": [1.0]}, caption="A line rises.", alt="One line.")
    header, _ = read(folder / "one.csv")
    assert (header["caption"], header["alt"]) == ("A line rises.", "One line.")


def test_pictures_bring_their_numbers_and_panels(folder):
    fig = Figure(figsize=(4, 2))
    views = [
        Picture(fig, ax, {"x": np.arange(n), "y": np.ones((n, 2))}, f"Panel of {n}.")
        for ax, n in zip(fig.subplots(1, 2), (2, 3), strict=True)
    ]
    views[0].ax.set_title("left")
    save(views, "two", pdf=True)
    header, table = read(folder / "two.csv")
    assert header["caption"] == "Panel of 2. Panel of 3."
    assert table["panel"].tolist() == ["left"] * 2 + ["panel 2"] * 3
    assert table.columns.tolist() == ["panel", "x", "y[0]", "y[1]"]
    assert b"/FontFile2" in (folder / "two.pdf").read_bytes()  # TrueType, embedded
    save(views[1], "one")
    assert read(folder / "one.csv")[1].columns.tolist() == ["x", "y[0]", "y[1]"]
    with pytest.raises(ValueError, match="comes without numbers"):
        save(fig, "none")


def test_frames_maps_text_and_what_is_not_finite(folder, fig):
    save(fig, "frame", pd.DataFrame({"rule": ["ema", "qhm"], "steps": [3, 4], "rho": [np.nan, np.inf]}))
    assert (folder / "frame.csv").read_text().splitlines()[1:] == ["rule,steps,rho", "ema,3,nan", "qhm,4,inf"]
    save(fig, "map", {"eta": [1.0, 2.0, 3.0], "rho": [[1.0, 2.0], [3.0, 4.0]]})
    assert (folder / "map.csv").read_text().splitlines()[1:] == ["eta,rho[0],rho[1]", "1,1,2", "2,3,4", "3,,"]


def test_a_large_map_is_thinned_and_says_so(folder, fig):
    x, y = np.linspace(0, 1, 500), np.linspace(0, 1, 400)
    save(fig, "map", {"x": x, "rho": -1e-7 * np.add.outer(x, y) / 3, "three": [1.0, 2.0, 3.0]})
    header, frame = read(folder / "map.csv")
    step = int(header["thinned"].split()[3])
    assert (folder / "map.csv").stat().st_size < CSV_LIMIT
    assert frame.shape == (len(x[::step]), 1 + len(y[::step]) + 1) and frame["three"].count() == 3
    np.testing.assert_allclose(frame["x"], x[::step], rtol=1e-8)


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("Gamma cliff", {"x": [1.0]}, "lower-case words joined by hyphens"),
        ("../one", {"x": [1.0]}, "lower-case words"),
        ("one", {}, "without numbers"),
        ("one", {"x": []}, "without numbers"),
        ("one", {"x": [1j]}, "complex"),
        ("one", {"x": np.zeros((2, 2, 2))}, "3-dimensional"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(folder, fig, name, data, message):
    with pytest.raises(ValueError, match=message):
        save(fig, name, data)
    assert not folder.exists()


def test_a_vector_map_is_refused(folder):
    fig = Figure()
    fig.subplots().pcolormesh(np.random.default_rng(0).random((120, 120)))
    with pytest.raises(ValueError, match=r"SVG of one takes .* MB; draw maps with imshow"):
        save(fig, "one", {"x": [1.0]})


COMMITTED = {"t": [1, 2], "rho": [0.5, np.inf], "rule": ["ema", "qhm"]}


@pytest.fixture
def committed(tmp_path, monkeypatch, fig):
    """The folder of a committed figure, against which the next save is compared."""
    monkeypatch.setenv("MOMENTUM_FIGURES", str(tmp_path / "committed"))
    monkeypatch.delenv("MOMENTUM_FIGURES_REFERENCE", raising=False)
    save(fig, "one", COMMITTED, rtol=1e-3)
    monkeypatch.setenv("MOMENTUM_FIGURES", str(tmp_path / "drawn"))
    monkeypatch.setenv("MOMENTUM_FIGURES_REFERENCE", str(tmp_path / "committed"))


def test_numbers_within_the_committed_tolerance_pass(committed, fig):
    save(fig, "one", COMMITTED | {"rho": [0.5004, np.inf]})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rho": [0.501, np.inf]}, r"Figure one, column rho, row 0: 0\.501 here, 0\.5 in one\.csv"),
        ({"rho": [0.5, 1e300]}, "row 1: 1e[+]300 here, inf"),
        ({"rho": [0.5, np.nan]}, "row 1: nan here, inf"),
        ({"rho": [0.5, -np.inf]}, "row 1: -inf here, inf"),
        ({"rule": ["ema", "mass"]}, "column rule, row 1: mass here, qhm"),
        ({"t": [1, 2, 3]}, "3 rows here, 2 in"),
        ({"more": [1, 2]}, "other columns than one.csv: more"),
    ],
)
def test_other_numbers_fail_naming_the_place(committed, fig, change, message):
    with pytest.raises(AssertionError, match=message):
        save(fig, "one", COMMITTED | change)


def test_a_figure_without_committed_numbers_fails(committed, fig):
    with pytest.raises(AssertionError, match=r"no committed two\.csv; run `momentum reproduce two`"):
        save(fig, "two", {"x": [1.0]})


def test_every_rule_has_a_look_of_its_own():
    looks = [(look["color"], str(look["linestyle"])) for look in map(rule_style, RULES.values())]
    assert len({*looks}) == len(RULES)
    assert rule_style("heavy_ball") == rule_style(RULES["heavy_ball"])
    assert rule_style("a_rule_of_mine") == rule_style("a_rule_of_mine")


def test_no_look_is_taken_for_theory_or_lost_on_white():
    for name in RULES:
        red, green, blue = colors.to_rgb(rule_style(name)["color"])
        assert 0.1 < 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.75, name
    assert THEORY["color"] == "black"


def test_helpers_draw(fig):
    ax = fig.axes[0]
    label_end(ax, ax.plot([0, 1, 2], [1, 2, np.nan], **rule_style("ema"))[0], "EMA")
    assert ax.texts[0].xy == (1, 2) and ax.texts[0].get_color() == rule_style("ema")["color"]
    with pytest.raises(ValueError, match="no finite point"):
        label_end(ax, ax.plot([0], [np.nan])[0], "gone")
    before = len(ax.collections)
    hatch_unstable(ax, [0, 1], [0, 1], [[False, False], [False, False]])
    assert len(ax.collections) == before
    hatch_unstable(ax, [0, 1], [0, 1], [[False, True], [False, True]])
    assert len(ax.collections) == before + 1
