"""A rule under PyTorch lives as PyTorch's own optimizers do: scheduled, saved, grouped, scaled, compiled."""

import copy
import doctest
import functools
import io
import pickle

import numpy as np
import pytest

from momentum_lib import (
    Rule,
    RuleError,
    as_torch,
    clipped,
    heavy_ball,
    linear_ramp,
    mass,
    nesterov,
    polyak_two_step,
    qhm,
    run,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from momentum_lib.nonlinear import (
    adam,
    adamw,
    fixed_restart,
    gradient_restart,
    lion,
    nadam,
    normalized_momentum,
    signum,
)

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra frameworks)")
lr_scheduler = torch.optim.lr_scheduler

TOLERANCE = 1e-12
FLAGS = {"lr": 0.05, "momentum": 0.9}
DATA = torch.linspace(-2, 2, 80, dtype=torch.float64).reshape(20, 4)


def two_layers():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def loss_of(model):
    return ((model(DATA) - torch.sin(DATA).sum(1, keepdim=True)) ** 2).mean()


class Training:
    """A model and its optimizer, stepped; ``weights`` holds the way it took."""

    def __init__(self, make, scheduler=None, closure=False, model=None):
        self.model = model or two_layers()
        self.optimizer = make(self.model.parameters())
        self.scheduler = scheduler and scheduler(self.optimizer)
        self.closure, self.weights, self.losses = closure, [weights(self.model)], []

    def evaluate(self):
        self.optimizer.zero_grad()
        loss = loss_of(self.model)
        loss.backward()
        return loss

    def steps(self, count=12):
        for _ in range(count):
            if self.closure:
                loss = self.optimizer.step(self.evaluate)
            else:
                loss = self.evaluate()
                self.optimizer.step()
            if self.scheduler:
                plateau = isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau)
                self.scheduler.step(*[loss.detach()] * plateau)
            self.losses.append(loss.item())
            self.weights.append(weights(self.model))
        return self


def apart(ours, theirs):
    ours, theirs = torch.stack(ours.weights), torch.stack(theirs.weights)
    assert (ours[-1] - ours[0]).abs().max() > 0.01, "nothing moved"
    return float((ours - theirs).abs().max())


# --- its own SGD ------------------------------------------------------------------------------------

#: PyTorch's schedulers by name; those that cycle the momentum write it into the groups.
SCHEDULERS = {
    "none": None,
    "step": lambda o: lr_scheduler.StepLR(o, 5, 0.5),
    "multi-step": lambda o: lr_scheduler.MultiStepLR(o, [3, 7]),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "warm restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3, cycle_momentum=True),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=4), lr_scheduler.PolynomialLR(o, 9)], [4]
    ),
    "SWA": lambda o: torch.optim.swa_utils.SWALR(o, swa_lr=0.01, anneal_epochs=4),
}
NESTEROV = functools.partial(torch.optim.SGD, nesterov=True)
OWN = {
    "plain": (torch_sgd, torch.optim.SGD, FLAGS),
    "dampened": (torch_sgd, torch.optim.SGD, {**FLAGS, "dampening": 0.5}),
    "decayed": (torch_sgd, torch.optim.SGD, {**FLAGS, "weight_decay": 0.1}),
    "nesterov": (torch_nesterov, NESTEROV, {**FLAGS, "weight_decay": 0.1}),
    "adam": (adam, torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.99)}),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("own", OWN)
def test_its_steps_are_those_of_torchs_own_under_torchs_own_schedulers(own, scheduler):
    """Also where a scheduler cycles the momentum, or Adam's betas, in the groups."""
    r, native, flags = OWN[own]
    ours, theirs = (
        Training(lambda p, make=make: make(p, **flags), SCHEDULERS[scheduler]).steps()
        for make in (as_torch(r), native)
    )
    assert apart(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize(
    "dtype", [torch.complex128, torch.float16, torch.bfloat16, torch.float64, torch.float32], ids=str
)
def test_every_type_and_layout_keeps_its_own(dtype):
    """Also a transposed, a scalar and an empty parameter, each beside the other."""
    ends = []
    for make in (as_torch(torch_sgd), torch.optim.SGD):
        turned = torch.arange(6).to(dtype).reshape(2, 3).T.requires_grad_()
        others = [torch.ones(shape, dtype=dtype, requires_grad=True) for shape in [(), (0,)]]
        optimizer = make([turned, *others], lr=0.1, momentum=0.5, weight_decay=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            sum((abs(p - 2) ** 2).sum() for p in [turned, *others]).backward()
            optimizer.step()
        ends.append([p.detach() for p in [turned, *others]])
        kept = [x.dtype for p in (turned, *others) for x in optimizer.state[p].values() if torch.is_tensor(x)]
        assert kept and {*kept} == {dtype}
    rounding = 4 * torch.finfo(dtype).eps
    assert all(torch.allclose(a, b, rounding, rounding) for a, b in zip(*ends, strict=True))


def test_an_averaged_model_takes_its_average():
    ends = []
    for make in (as_torch(torch_sgd), torch.optim.SGD):
        training = Training(lambda p, make=make: make(p, **FLAGS))
        averaged = torch.optim.swa_utils.AveragedModel(training.model)
        for _ in range(5):
            averaged.update_parameters(training.steps(2).model)
        ends.append(weights(averaged.module))
    assert float((ends[0] - ends[1]).abs().max()) <= TOLERANCE


@pytest.mark.parametrize("own", ["dampened", "adam"])
def test_t_and_the_first_step_are_each_parameters_own(own):
    """A parameter whose gradient comes at step 3 takes its first step then; an idle one stays."""
    r, native, flags = OWN[own]
    ends = []
    for make in (as_torch(r), native):
        early, late, idle = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in "abc")
        optimizer = make([early, late, idle], **flags)
        for t in range(1, 6):
            optimizer.zero_grad()
            sum((p**3).sum() for p in [early, late][: 1 + (t >= 3)]).backward()
            optimizer.step()
        ends.append(torch.stack([early, late, idle]).detach())
    assert float((ends[0] - ends[1]).abs().max()) <= TOLERANCE
    assert ends[0][2].tolist() == [1, 1]


def test_a_restart_is_counted_by_each_parameters_own_steps():
    r = fixed_restart.at(eta=0.1, period=3)
    early, late = (torch.full((1,), 3.0, dtype=torch.float64, requires_grad=True) for _ in "ab")
    optimizer = as_torch(r)([early, late])

    def there(points):
        for p in points:
            p.grad = p.detach().clone()

    for _ in range(2):
        optimizer.step(lambda: there([early]))
    for _ in range(6):
        optimizer.step(lambda: there([early, late]))
    for p, steps in ((early, 8), (late, 6)):
        assert p.item() == pytest.approx(run(r, lambda x: x, [3.0], steps).theta[-1, 0], rel=1e-12)


def test_a_whole_point_is_whole_whoever_is_at_the_first_step():
    """Half of theta at step 1, half at step 3: the length is of all, the schedule each one's own."""
    r = clipped(torch_sgd.at(eta=lambda t: 0.1 / t, gamma=0.9, dampening=0.5)).at(threshold=1.0)
    early, late = (torch.full((1,), 3.0, dtype=torch.float64, requires_grad=True) for _ in "ab")
    optimizer = as_torch(r)([early, late])
    for t in range(1, 4):
        early.grad = torch.full_like(early, 3.0)
        late.grad = torch.full_like(late, 4.0) if t == 3 else None
        optimizer.step()
    b = 1.0  # the gradient 3 alone is shortened to 1; beside the 4 to 3/5
    way = 0.1 * b + 0.05 * (b := 0.9 * b + 0.5) + 0.1 / 3 * (0.9 * b + 0.5 * 0.6)
    assert early.item() == pytest.approx(3 - way, rel=1e-12)
    assert late.item() == pytest.approx(3 - 0.1 * 0.8, rel=1e-12)


# --- rules that are not linear ------------------------------------------------------------------------

precisions = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)], ids=str
)


@pytest.fixture
def doubles():
    """PyTorch's NAdam multiplies its betas in the default type, whatever the parameters'."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@precisions
@pytest.mark.parametrize(
    ("r", "native"),
    [
        (adam, torch.optim.Adam),
        (adamw.at(weight_decay=0.01), torch.optim.AdamW),
        # PyTorch warms beta1 up; where that is over at once, it is constant.
        (nadam, functools.partial(torch.optim.NAdam, momentum_decay=1e9)),
    ],
    ids=["adam", "adamw", "nadam"],
)
def test_adam_is_torchs_own(doubles, r, native, dtype, tolerance):
    ends = []
    for make in (as_torch(r), native):
        p = torch.linspace(-1, 2, 6, dtype=dtype).reshape(2, 3).requires_grad_()
        optimizer = make([p], lr=0.05)
        for _ in range(20):
            optimizer.zero_grad()
            (p**4).sum().backward()
            optimizer.step()
        ends.append(p.detach())
    assert float((ends[0] - ends[1]).abs().max()) <= tolerance


@precisions
@pytest.mark.parametrize(
    "r",
    [
        *(lion.at(eta=0.02, weight_decay=0.1), signum.at(eta=0.02, gamma=0.5)),
        *(normalized_momentum.at(eta=0.1, gamma=0.8), clipped(nesterov).at(eta=0.1, gamma=0.8, threshold=1)),
        *(gradient_restart.at(eta=0.1), fixed_restart.at(eta=0.05, period=4)),
    ],
    ids=lambda r: r.name,
)
def test_rules_that_are_not_linear_take_the_steps_of_run(r, dtype, tolerance):
    """Of a theta in two parameters, which those that look at whole points see whole."""
    start, steps = np.linspace(-1, 2, 8), 15
    matrix, row = (
        torch.tensor(x, dtype=dtype).requires_grad_() for x in (start[:6].reshape(2, 3), start[6:])
    )
    optimizer = as_torch(r)([matrix, row])

    def closure():
        optimizer.zero_grad()
        loss = ((matrix**4).sum() + (row**4).sum()) / 4
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    end = torch.cat([matrix.detach().reshape(-1), row.detach()]).numpy()
    apart = np.abs(end - run(r, lambda x: x**3, start, steps).theta[-1]).max()
    assert apart <= tolerance * np.abs(start).max()


def test_clipping_is_by_the_length_of_the_whole_gradient():
    """`clipped` shortens before the buffer, as clip_grad_norm_ before step does, but for its 1e-6."""

    class Clipped(torch.optim.SGD):
        def step(self):
            gradients = [p.grad for p in self.param_groups[0]["params"]]
            length = sum((g**2).sum() for g in gradients) ** 0.5
            for g in gradients:
                g *= min(1, 0.3 / length)
            super().step()

    adapted = Training(lambda p: as_torch(clipped(torch_sgd))(p, **FLAGS, threshold=0.3)).steps()
    assert apart(adapted, Training(lambda p: Clipped(p, **FLAGS)).steps()) <= TOLERANCE


def test_matrices_arrive_as_matrices_and_nothing_is_shared():
    """Each parameter keeps its shape; a slot that is the gradient, theta, or a view of one, is a copy."""

    @Rule
    def hands_back(theta, m, view, grad, *, eta):
        g = grad(theta)
        seen.append([part.shape for part in g.parts])
        return theta - eta * g, g, theta

    seen, model = [], two_layers()
    training = Training(lambda p: as_torch(hands_back)(p, eta=0.1), model=model).steps(1)
    assert seen[0] == [p.shape for p in model.parameters()]
    kept = training.optimizer.state[model[0].weight]
    before = copy.deepcopy(kept)
    model[0].weight.grad.mul_(0)
    with torch.no_grad():
        model[0].weight.mul_(0)
    assert all(torch.equal(kept[name], before[name]) for name in ("m", "view"))
    assert kept["m"].abs().max() > 0 and kept["view"].abs().max() > 0


@pytest.mark.parametrize(
    "r",
    [
        polyak_two_step.at(eta=0.05, gamma=0.8),
        triple_momentum.at(alpha=0.05, beta=0.5, gamma=0.2, delta=0.1),
        torch_sgd.at(eta=0.05, gamma=0.9, weight_decay=0.1),
        signum.at(eta=0.01, gamma=0.5),
    ],
    ids=lambda r: r.name,
)
def test_writing_in_place_is_the_same_as_stepping_apart(r):
    """Slots that read each other are written in an order in which nobody reads what is gone."""
    training = Training(as_torch(r), closure=True).steps()
    model = two_layers()
    shapes = [p.shape for p in model.parameters()]
    sizes = [p.numel() for p in model.parameters()]

    def grad(x):
        with torch.no_grad():
            for p, part, shape in zip(model.parameters(), x.split(sizes), shapes, strict=True):
                p.copy_(part.reshape(shape))
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss_of(model), [*model.parameters()])])

    state = r.init(weights(model))
    for t, theirs in enumerate(training.weights[1:], 1):
        step = r.first_step if t == 1 else r.step
        state = r.apply(step, state, grad, r.setting)
        assert float((state[0] - theirs).abs().max()) <= TOLERANCE


# --- names, groups, refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("r", "step", "momentum"),
    [(heavy_ball, "eta", "gamma"), (qhm.at(nu=0.7), "alpha", "beta")],
    ids=["heavy_ball", "qhm"],
)
def test_both_spellings_are_taken_and_pytorchs_are_kept(r, step, momentum):
    """Which letter is meant is computed: qhm calls them alpha and beta."""
    wanted = Training(as_torch(r.at(**{step: 0.03, momentum: 0.6}))).steps()
    for fixed, given in [
        (r, {"lr": 0.03, "momentum": 0.6}),
        (r, {step: 0.03, momentum: 0.6}),
        (r, {"lr": 0.03, momentum: 0.6}),
        (r.at(**{step: 0.03, momentum: 0.1}), {"momentum": 0.6}),
    ]:
        training = Training(lambda p, fixed=fixed, given=given: as_torch(fixed)(p, **given)).steps()
        assert apart(training, wanted) == 0
        assert {"lr": 0.03, "momentum": 0.6}.items() <= training.optimizer.param_groups[0].items()


def test_a_letter_keeps_its_own_name():
    own = Rule(lambda theta, grad, *, eta, lr: theta - eta * lr * grad(theta), name="own")
    ours = Training(lambda p: as_torch(own)(p, eta=0.6, lr=0.1)).steps()
    assert apart(ours, Training(lambda p: torch.optim.SGD(p, lr=0.06)).steps()) <= TOLERANCE


@pytest.mark.parametrize("key", ["lr", "eta"])
def test_groups_have_settings_of_their_own(key):
    """Also a group that comes later, a group's label, and what a scheduler kept in it."""

    def make(kind, key, **more):
        def made(parameters):
            first, *rest = parameters
            group = {"params": [first], key: 0.05, "name": "first", "initial_lr": 0.05}
            optimizer = kind([group, {"params": rest[:1]}], lr=0.01, momentum=0.9, **more)
            optimizer.add_param_group({"params": rest[1:], "momentum": 0.5})
            return optimizer

        return made

    ours = Training(make(as_torch(torch_sgd.at(dampening=0.5)), key)).steps()
    assert apart(ours, Training(make(torch.optim.SGD, "lr", dampening=0.5)).steps()) <= TOLERANCE
    assert ours.optimizer.param_groups[0]["name"] == "first"


@pytest.mark.parametrize(
    ("r", "given", "sentence"),
    [
        (heavy_ball, {"lr": 0.1, "eta": 0.1}, "lr and eta, two names of one letter; give eta alone"),
        (qhm, {"momentum": 0.1, "beta": 0.1}, "momentum and beta, two names of one letter; give beta alone"),
        (heavy_ball, {"nesterov": True}, "look-ahead is a rule of its own: nesterov, torch_nesterov"),
        (heavy_ball, {"maximize": True}, "turn the sign of the gradient instead"),
        (heavy_ball, {**FLAGS, "foreach": True}, "no hyper-parameter 'foreach'"),
        (heavy_ball, {"lr": float("nan"), "momentum": 0.9}, "eta=nan; give finite numbers"),
        (heavy_ball, {**FLAGS, "t": 3}, "frozen at t=3"),
        (heavy_ball, {"lr": 0.1}, "leaves gamma open"),
        (adam, {"lr": 0.1, "betas": (0.9, 0.99), "beta1": 0.8}, "no hyper-parameter 'betas'; did you mean"),
        (heavy_ball, {**FLAGS, "betas": (0.9, 0.99)}, "no hyper-parameter 'betas'"),
        (mass, {"lr": 0.1}, "no hyper-parameter 'lr'; here eta1 and eta2 share its part"),
    ],
)
def test_a_letter_under_two_names_and_what_is_no_letter_are_refused(r, given, sentence):
    with pytest.raises(RuleError, match=sentence):
        as_torch(r)([torch.zeros(3, requires_grad=True)], **given)


def test_a_sparse_gradient_is_refused():
    table = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = as_torch(heavy_ball)(table.parameters(), **FLAGS)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuleError, match=r"shape \(5, 2\) is sparse; make it dense .*sparse=False"):
        optimizer.step()


# --- closures -----------------------------------------------------------------------------------------


def test_a_closure_takes_the_steps_of_a_backward_before_step():
    flags = {**FLAGS, "weight_decay": 0.1}
    ours = Training(lambda p: as_torch(torch_sgd)(p, **flags), closure=True).steps()
    theirs = Training(lambda p: torch.optim.SGD(p, **flags), closure=True).steps()
    assert apart(ours, theirs) <= TOLERANCE
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-12)


def test_two_gradients_of_one_step_are_kept_apart():
    """Though a closure may write both into the same memory."""

    @Rule
    def twice(theta, grad, *, eta):
        near = grad(theta)
        return theta - eta * (near + grad(theta - eta * near)) / 2

    theta = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = as_torch(twice)([theta], lr=0.5)

    def closure():
        optimizer.zero_grad(set_to_none=False)
        loss = (theta**2).sum() / 2
        loss.backward()
        return loss

    assert [optimizer.step(closure).item() for _ in range(2)] == [0.5, 0.625**2 / 2]


def test_a_look_ahead_without_a_closure_says_what_to_use():
    with pytest.raises(RuleError, match=r"theta - gamma\*v.*pass step a closure.*torch_nesterov"):
        Training(lambda p: as_torch(nesterov)(p, **FLAGS)).steps(1)


def test_a_closure_that_fails_leaves_the_parameters_where_they_were():
    training = Training(lambda p: as_torch(nesterov)(p, **FLAGS), closure=True).steps(3)

    def fails():
        assert not torch.equal(weights(training.model), training.weights[-1])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        training.optimizer.step(fails)
    assert torch.equal(weights(training.model), training.weights[-1])


# --- saved, copied, scaled, compiled --------------------------------------------------------------------


def through_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


SETTINGS = {
    "numbers": (torch_sgd.at(dampening=0.5), FLAGS),
    "NumPy's numbers": (torch_sgd.at(dampening=0.5), {"lr": np.float64(0.05), "momentum": np.float32(0.5)}),
    "schedule": (torch_sgd.at(dampening=0.5), {"lr": linear_ramp(0.01, 0.1, 9), "momentum": 0.9}),
    "lambda": (torch_sgd, {"lr": lambda t: 0.1 / t, "momentum": 0.9}),
    "adam": (adam, {"lr": 0.01}),
    "adam, beta1 of t": (adam, {"lr": 0.01, "beta1": lambda t: 0.9 - 0.5 / t}),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("travel", [lambda state: state, through_file], ids=["state_dict", "file"])
def test_a_checkpoint_goes_on_where_it_stopped(travel, setting):
    """The first step of its own is not taken twice; numbers are those of the file, functions one's own."""
    r, letters = SETTINGS[setting]
    make = functools.partial(as_torch(r), **letters)
    whole, half = Training(make).steps(9), Training(make).steps(4)
    again = Training(make, model=copy.deepcopy(half.model))
    again.optimizer.load_state_dict(travel(half.optimizer.state_dict()))
    assert torch.equal(again.steps(5).weights[-1], whole.weights[-1])
    again.optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})


def test_what_a_file_holds_wins_over_numbers_given():
    half = Training(lambda p: as_torch(heavy_ball)(p, **FLAGS)).steps(2)
    again = as_torch(heavy_ball)(half.model.parameters(), lr=9.0, momentum=0.1)
    again.load_state_dict(half.optimizer.state_dict())
    assert FLAGS.items() <= again.param_groups[0].items()


@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("setting", ["numbers", "schedule"])
def test_an_optimizer_is_copied_and_pickled_with_its_model(carry, setting):
    r, letters = SETTINGS[setting]
    half = Training(lambda p: as_torch(r)(p, **letters)).steps(4)
    model, optimizer = carry((half.model, half.optimizer))
    again = Training(lambda p: optimizer, model=model).steps(5)
    assert torch.equal(again.weights[-1], half.steps(5).weights[-1])
    assert isinstance(optimizer, torch.optim.Optimizer)


def test_a_gradient_scaler_skips_what_overflowed():
    ends = []
    for make in (as_torch(torch_sgd), torch.optim.SGD):
        training = Training(lambda p, make=make: make(p, **FLAGS))
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
        for t in range(6):
            training.optimizer.zero_grad()
            scaler.scale(loss_of(training.model) * (float("inf") if t == 3 else 1)).backward()
            scaler.unscale_(training.optimizer)
            torch.nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
            scaler.step(training.optimizer)
            scaler.update()
        ends.append((weights(training.model), scaler.get_scale()))
    assert float((ends[0][0] - ends[1][0]).abs().max()) <= TOLERANCE
    assert ends[0][1] == ends[1][1] == 2.0**11


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("r", [torch_sgd.at(dampening=0.5), clipped(heavy_ball).at(threshold=0.3)], ids=str)
def test_a_compiled_loop_takes_the_same_steps(r):
    """The loop compiles around the step, which runs as it is; the backend needs no C compiler."""
    plain = Training(lambda p: as_torch(r)(p, **FLAGS)).steps(5)
    training = Training(lambda p: as_torch(r)(p, **FLAGS))
    optimizer, model = training.optimizer, training.model

    torch._dynamo.reset()

    @torch.compile(backend="eager")
    def step():
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()

    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(5):
            step()
    assert float((weights(model) - plain.weights[-1]).abs().max()) <= TOLERANCE


def test_its_example_runs():
    """Skipped as a doctest where PyTorch, an extra, is missing; run here."""
    names = {"as_torch": as_torch}
    example = doctest.DocTestParser().get_doctest(as_torch.__doc__, names, "as_torch", None, None)
    assert not doctest.DocTestRunner(verbose=False).run(example).failed
