"""Nothing stale: an edit of a rule, a task, a loss or a helper is seen, wherever something is kept."""

import subprocess
import sys
import textwrap
import types

import pytest

from momentum_lib import NONLINEAR, RULES, heavy_ball
from momentum_lib.fingerprints import fingerprint, is_installed
from momentum_lib.learning import Autoencoder, Curves, Trial, carry_out, sharpness, train
from momentum_lib.learning.training import describe

jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")

CODE = """
import functools
from dataclasses import dataclass
import jax, jax.numpy as jnp, numpy as np
from momentum_lib import Rule, heavy_ball
from momentum_lib.nonlinear import clipped

scale, table = 1.0, np.ones(3, np.float32)
settings = types.SimpleNamespace(factor=1.0)

def bend(x):
    return jnp.tanh(x)

@jax.jit
def between(x):
    return bend(x)

def hidden(power):
    def closed(x):
        return x**power
    return closed

through = hidden(2)

def raised(x, by=0.0):
    return x + by

class Base:
    def inherited(self, x):
        return 1.0 * x

@dataclass(frozen=True)
class Task(Base):
    def start(self, seed):
        return np.full(3, 0.5, np.float32)

    def draw(self, key):
        return 0.0

    def loss(self, theta, batch):
        x = between(theta) + scale * theta * table * settings.factor + through(theta) + raised(theta)
        return (self.inherited(x) + helpers.bent(theta)).sum()

    def error(self, theta):
        return self.loss(theta, 0.0)

def step(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta)
    return theta - v, v

own = Rule(step, name="own")
clipped_own = clipped(own).at(eta=0.1, gamma=0.5, threshold=1.0)
own = own.at(eta=0.1, gamma=0.5)
"""


def notebook():
    """A namespace as a notebook's, and a module of one's own that it uses."""
    there = types.ModuleType("__main__")
    there.types = types
    there.helpers = types.ModuleType("helpers_of_ones_own")
    exec("def bent(x):\n    return x * x", vars(there.helpers))
    exec(CODE, vars(there))
    return there


#: What is edited, how, in the notebook or in its module.
EDITS = {
    "a helper under jit calls another function": "def bend(x):\n    return jnp.sign(x)",
    "a global number": "scale = 2.0",
    "a global array": "table = 2 * table",
    "a global that is written to": "table[1] = 7",
    "a setting in a global": "settings.factor = 3.0",
    "what a helper closes over": "through = hidden(3)",
    "a default": "raised.__defaults__ = (1.0,)",
    "an inherited method": "Base.inherited = lambda self, x: 2.0 * x",
    "a module of one's own": "exec('def bent(x):\\n    return 3 * x', vars(helpers))",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_what_a_task_hangs_on_is_seen_where_something_is_kept(edit, tmp_path):
    there = notebook()
    task, rule = there.Task(), heavy_ball.at(eta=0.1, gamma=0.5)
    trial = Trial(rule, task, 3)

    def all_of_it():
        frame = carry_out([trial], folder=tmp_path / "kept", progress=False)
        trained = train(rule, task, 3)
        return [*trained.error, frame["error"][0], *trained.theta, sharpness(task, task.start(0))]

    before, told = all_of_it(), fingerprint(task)
    assert all_of_it() == before and fingerprint(task) == told
    train(rule, task, 3, checkpoint=tmp_path / "checkpoint.npz")
    exec(edit, vars(there))
    after = all_of_it()
    fresh = notebook()  # another interpreter, as it were: nothing is kept
    exec(edit, vars(fresh))
    assert after[:-1] != before[:-1] and fingerprint(task) != told
    wanted = train(rule, fresh.Task(), 3)
    assert after[:2] == wanted.error.tolist()[:2] and after[4] == after[3] == wanted.error[-1]
    with pytest.raises(ValueError, match="was made with other code of task, or of what it calls; take"):
        train(rule, task, 3, checkpoint=tmp_path / "checkpoint.npz")


@pytest.mark.parametrize("name", ["own", "clipped_own"])
def test_an_edit_of_a_rule_is_seen_through_what_is_made_of_it(name):
    one, same, other = notebook(), notebook(), notebook()
    exec(CODE.replace("v = gamma * v + eta", "v = gamma * v + 2 * eta"), vars(other))
    told = [describe(getattr(there, name).base) for there in (one, same, other)]
    assert told[0] == told[1] != told[2]
    thetas = [train(getattr(there, name), there.Task(), 3).theta for there in (one, same, other)]
    assert (thetas[0] == thetas[1]).all() and (thetas[0] != thetas[2]).any()


def test_a_comment_changes_nothing_and_shipped_rules_are_told_by_their_names():
    one, other = notebook(), notebook()
    exec("def raised(x, by=0.0):\n\n    # the same\n    return x + by", vars(other))
    assert fingerprint(one.Task()) == fingerprint(other.Task())
    for rule in (*RULES.values(), *NONLINEAR.values()):
        if rule.__module__.startswith("momentum_lib."):
            assert describe(rule.base) == repr(rule.base)
    assert fingerprint(Autoencoder()) != fingerprint(Autoencoder(Curves()))


def test_what_cannot_tell_its_code_is_compiled_each_time_and_not_kept(tmp_path):
    there = notebook()
    exec("rng = np.random.default_rng(0)\ndef raised(x):\n    return rng.normal() * x", vars(there))
    rule, task = heavy_ball.at(eta=0.1, gamma=0.5), there.Task()
    with pytest.raises(ValueError, match="Generator has no settings to tell it by"):
        train(rule, task, 3, checkpoint=tmp_path / "kept.npz")
    assert (train(rule, task, 3).theta != train(rule, task, 3).theta).any()


def test_a_fingerprint_is_the_same_in_another_process():
    code = "import types\nimport numpy\nfrom momentum_lib.fingerprints import fingerprint\n"
    code += CODE + "\nchosen = {'a', 'b', 'c'}\ndef picks(x):\n    return x in {'p', 'q', 'r'}, chosen\n"
    code += "print(fingerprint(step, bend, through, picks))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


def test_a_package_is_installed_wherever_packages_are(tmp_path, monkeypatch):
    for folder, module in (("site-packages", "theirs_in_an_environment"), ("own", "mine_in_a_folder")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{module}.py").touch()
        monkeypatch.syspath_prepend(tmp_path / folder)
        assert is_installed(module) is (folder != "own")
