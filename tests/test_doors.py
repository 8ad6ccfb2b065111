"""What comes from others is read, never run; no name leads out of its folder; nothing leaves the machine.

Whose notebooks `momentum reproduce` executes is tried in test_cli.py; what a report and an explorer show of
what was typed, in test_reporting.py and test_explorer.py. That nothing unpickles is ruff's S301, S302, S506.
"""

import json
import zipfile

import numpy as np
import pytest

from momentum_lib import Rule, compare, heavy_ball


class Door:
    """Pickled, it makes a file where it is read again."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


NAMES = ["../out", "a/b", "a\\b", "/out", "C:out", "..", "", "a\0b", "a.csv", "Out", "a--b", None, 7]


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("full", ["", "1"], ids=["read", "carried out"])
def test_a_campaign_is_named_by_words_alone(tmp_path, monkeypatch, name, full):
    pytest.importorskip("jax")
    from momentum_lib.learning import measured

    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOMENTUM_FULL", full)
    with pytest.raises(ValueError, match="A campaign is named in lower-case words joined by hyphens, got"):
        measured(name, [])
    assert [path.name for path in tmp_path.rglob("*")] == ["pyproject.toml"]


@pytest.mark.parametrize("part", ["told", "rows", "slot0"])
def test_a_checkpoint_of_others_runs_nothing(tmp_path, part):
    pytest.importorskip("jax")
    from momentum_lib.learning import Classifier, Digits, train

    training = heavy_ball.at(eta=0.1, gamma=0.9), Classifier(Digits(count=20), (4,), batch=None), 2
    train(*training, checkpoint=tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as kept:
        parts = dict(kept)
    parts[part] = np.array(Door(tmp_path / "out"), dtype=object)
    np.savez(tmp_path / "a.npz", **parts)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert b"out" in file.read(f"{part}.npy")
    with pytest.raises(ValueError, match="is not a checkpoint of a training"):
        train(*training, checkpoint=tmp_path / "a.npz")
    assert not (tmp_path / "out").exists()


def test_what_was_typed_is_text_wherever_a_rule_or_a_table_shows_itself():
    typed = "<img src=x onerror=alert(1)>"
    own = Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta),), name=typed)
    shown = [
        own._repr_html_(),
        own.at(eta=0.1)._repr_html_(),
        compare({typed: own.at(eta=0.1)}, 0.1, 1).to_html(),
    ]
    for text in shown:
        assert "<img" not in text and "&lt;img" in text, json.dumps(text)
