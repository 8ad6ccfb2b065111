"""Data: bundled digits, drawn curves, sequences whose targets follow from what is shown."""

import functools

import numpy as np
import pytest

from momentum_lib.learning import Addition, Curves, Digits, Memorization, Multiplication, Rows, draw_curves

jax = pytest.importorskip("jax", reason="JAX is not installed (extra learning)")
datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed (extra learning)")

PEN = 0.7  # pixels


# --- Images -----------------------------------------------------------------------------------------


def test_the_digits_are_those_of_scikit_learn_between_zero_and_one():
    images, labels = Digits().load()
    wanted, names = datasets.load_digits(return_X_y=True)
    assert (images.dtype, labels.dtype) == (np.float32, np.int32)
    assert (images == wanted / 16).all() and (labels == names).all()
    assert images.min() == 0 and images.max() == 1


def test_a_count_takes_the_first_digits():
    images, labels = Digits(count=7).load()
    assert images.shape == (7, 64) and (images == Digits().load()[0][:7]).all()
    assert (labels == Digits().load()[1][:7]).all()


@pytest.mark.parametrize("source", [Digits(), Curves(count=3)], ids=["digits", "curves"])
def test_data_that_trainings_share_cannot_be_written_to(source):
    for array in source.load():
        with pytest.raises(ValueError, match="read-only"):
            array -= 1


def test_shuffled_labels_depend_on_their_seed_and_on_nothing_in_the_picture():
    images, true = Digits().load()
    shown, labels = Digits(shuffled_labels=0).load()
    assert (shown == images).all() and labels.dtype == np.int32
    assert set(labels.tolist()) == set(range(10))
    assert np.mean(labels == true) == pytest.approx(0.1, abs=0.03)
    assert (labels == Digits(shuffled_labels=0).load()[1]).all()
    assert np.mean(labels == Digits(shuffled_labels=1).load()[1]) == pytest.approx(0.1, abs=0.03)


def test_a_curve_inks_the_pixels_of_its_three_points():
    side = 14
    column, row = np.array([2, 9, 11]), np.array([3, 10, 4])
    points = (np.stack([column, row], axis=-1) + 0.5) / side  # x to the right, y down
    image = draw_curves(points[None], side).reshape(side, side)
    assert (image[row, column] > 0.97).all()
    assert image[13, 0] < 1e-6  # far from the curve


def test_every_curve_of_the_set_passes_through_its_three_points():
    source = Curves(count=50, side=14, seed=1)
    images, numbers = source.load()
    points = numbers.reshape(50, 3, 2)
    column, row = (np.floor(14 * points[..., axis]).astype(int) for axis in (0, 1))
    ink = images.reshape(50, 14, 14)[np.arange(50)[:, None], row, column]
    off = np.hypot(column + 0.5 - 14 * points[..., 0], row + 0.5 - 14 * points[..., 1])
    # The pen is sampled along the curve, so a point may lie a fraction of a pixel from the next sample.
    assert (ink >= np.exp(-((off + 0.2) ** 2) / (2 * PEN**2))).all()


def test_the_pen_has_a_gaussian_profile_in_pixels():
    for side in (14, 28):
        middle = side // 2
        points = np.array([[(x, (middle + 0.5) / side) for x in (0.1, 0.5, 0.9)]])
        image = draw_curves(points, side).reshape(side, side)
        profile = image[middle - 2 : middle + 3, middle]
        assert profile == pytest.approx(np.exp(-(np.arange(-2, 3) ** 2) / (2 * PEN**2)), abs=0.03)


def test_curves_are_six_numbers_a_picture_and_depend_on_the_seed_alone():
    images, numbers = Curves(count=20, side=9, seed=3).load()
    assert images.shape == (20, 81) and images.dtype == np.float32
    assert numbers.shape == (20, 6) and numbers.min() >= 0.1 and numbers.max() <= 0.9
    assert images.min() >= 0 and images.max() <= 1
    Curves.load.cache_clear()
    again, _ = Curves(count=20, side=9, seed=3).load()
    assert (again == images).all()
    assert (Curves(count=20, side=9, seed=4).load()[0] != images).any()


# --- Sequences --------------------------------------------------------------------------------------


BATCH = 2000


@functools.cache
def drawn(problem, seed=0):
    """A batch as NumPy arrays, drawn once for all tests."""
    return tuple(map(np.asarray, drawing(problem)(jax.random.key(seed))))


@functools.cache
def drawing(problem):
    return jax.jit(functools.partial(problem.draw, batch=BATCH))


MARKED = [(Addition(), 0.0), (Addition(8), 0.0), (Multiplication(11), 0.5)]
marked = pytest.mark.parametrize(("problem", "centre"), MARKED)


@marked
def test_two_steps_are_marked_one_among_the_first_ten_both_in_the_first_half(problem, centre):
    inputs, _ = drawn(problem)
    assert inputs.shape == (problem.length, BATCH, 2)
    marks = inputs[1:-1, :, 1]
    assert (inputs[[0, -1], :, 1] == -1).all() and set(np.unique(marks)) == {0, 1}
    assert (marks.sum(axis=0) == 2).all()
    places = np.sort(np.argsort(marks, axis=0, kind="stable")[-2:], axis=0) + 1
    half = problem.length // 2
    assert set(places.ravel()) == set(range(1, half))  # every step of the first half but the very first
    assert places[0].max() < min(10, half)


@marked
def test_the_target_follows_from_the_two_marked_numbers(problem, centre):
    inputs, target = drawn(problem)
    numbers = inputs[..., 0].astype(float) + centre
    low = 2 * centre - 1
    assert numbers.min() == pytest.approx(low, abs=0.01) and numbers.max() == pytest.approx(1, abs=0.01)
    x, y = numbers.T[inputs[..., 1].T == 1].reshape(BATCH, 2).T
    wanted = x * y if isinstance(problem, Multiplication) else (x + y) / 4 + 0.5
    assert abs(target[:, 0] - wanted).max() < 1e-6
    assert target.shape == (BATCH, 1) and 0 <= target.min() and target.max() <= 1


@marked
def test_the_numbers_and_the_marks_have_mean_zero(problem, centre):
    inputs, target = drawn(problem)
    error = inputs[..., 0].std() / np.sqrt(inputs[..., 0].size)
    assert abs(inputs[..., 0].mean(dtype=float)) < 4 * error
    assert abs(inputs[..., 1].mean(dtype=float)) < 1e-6
    assert target.mean() == pytest.approx(problem.output_mean, abs=4 * target.std() / np.sqrt(BATCH))


#: An answer that never changes is right by chance: |x + y| <= .16 for two numbers from U[-1, 1], and
#: .21 <= xy <= .29 for two from U[0, 1], where P(xy < z) = z (1 - log z).
BY_CHANCE = [
    (Addition(), 1 - (0.16 - 0.16**2 / 4)),
    (Multiplication(11), 1 - (0.29 * (1 - np.log(0.29)) - 0.21 * (1 - np.log(0.21)))),
]


@pytest.mark.parametrize(("problem", "chance"), BY_CHANCE)
def test_perfect_numbers_are_never_wrong_and_constant_ones_by_chance(problem, chance):
    target = drawn(problem)[1]
    assert problem.wrong(target[None], target) == 0 and problem.loss(target[None], target) == 0
    constant = np.broadcast_to(problem.output_mean, (1, BATCH, 1))
    assert problem.wrong(constant, target) == pytest.approx(chance, abs=0.035)
    assert problem.loss(constant, target) == pytest.approx(target.var(), rel=0.06)


def test_a_number_is_wrong_from_four_hundredths_on():
    target = np.array([[0.5], [0.5], [0.5], [0.5]], np.float32)
    assert Addition().wrong(target[None] + np.array([[0.039], [-0.039], [0.041], [-0.041]]), target) == 0.5


MEMORIES = [Memorization(), Memorization(symbols=2, memory=5, wait=40), Memorization(3, 1, 1)]
memories = pytest.mark.parametrize("problem", MEMORIES)


def shown(problem, inputs):
    """The channel that is 1 at each step, after the mean is added back."""
    steps = problem.wait + 2 * problem.memory
    share = [problem.memory / steps / problem.symbols] * problem.symbols
    mean = np.array([*share, (problem.wait + problem.memory - 1) / steps, 1 / steps])
    hot = inputs + mean
    assert abs(hot - np.eye(problem.symbols + 2)[hot.argmax(axis=-1)]).max() < 1e-6
    return hot.argmax(axis=-1)


@memories
def test_symbols_are_shown_then_a_wait_that_ends_with_the_cue(problem):
    inputs, target = drawn(problem)
    memory, blank, cue = problem.memory, problem.symbols, problem.symbols + 1
    channel = shown(problem, inputs)
    assert channel.shape == (problem.length, BATCH) and inputs.shape[-1] == problem.inputs
    assert (channel[:memory] == target).all() and set(np.unique(target)) == set(range(problem.symbols))
    assert (channel[memory : memory + problem.wait - 1] == blank).all()
    assert (channel[memory + problem.wait - 1] == cue).all()
    assert (channel[memory + problem.wait :] == blank).all()
    assert problem.length - problem.answers == memory + problem.wait  # the first answer follows the cue


@memories
def test_every_channel_of_a_memory_problem_has_mean_zero(problem):
    inputs, _ = drawn(problem)
    mean = inputs.mean(axis=(0, 1), dtype=float)
    share = 1 / problem.symbols
    error = np.sqrt(share * (1 - share) / (problem.memory * BATCH)) * problem.memory / problem.length
    assert (abs(mean[: problem.symbols]) < 4 * error).all()
    assert mean[problem.symbols :] == pytest.approx(0, abs=1e-6)


def test_perfect_symbols_are_never_wrong_and_one_symbol_always_is_wrong_eight_times_of_ten():
    problem = Memorization(symbols=5, memory=10)
    target = drawn(problem)[1]
    assert problem.wrong(np.eye(5)[target], target) == 0
    constant = np.broadcast_to(np.eye(5)[2], (10, BATCH, 5))
    assert problem.wrong(constant, target) == pytest.approx(8, abs=0.12)
    assert problem.loss(np.zeros((10, BATCH, 5)), target) == pytest.approx(np.log(5), rel=1e-5)
    assert problem.loss(50 * np.eye(5)[target], target) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("problem", [Addition(), Multiplication(11), Memorization()])
def test_sequences_are_fresh_by_key_and_the_same_by_the_same_key(problem):
    again = drawing(problem)(jax.random.key(0))
    for one, same, other in zip(drawn(problem), again, drawn(problem, seed=1), strict=True):
        assert (one == same).all() and (one != other).any()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Addition(7), "length is 7; give a whole number of at least 8"),
        (lambda: Multiplication("8"), "length is '8'; give a whole"),
        (lambda: Memorization(symbols=1), "symbols is 1; give a whole number of at least 2"),
        (lambda: Memorization(memory=0), "memory is 0; give a whole"),
        (lambda: Memorization(wait=2.5), "wait is 2.5; give a whole"),
        (lambda: Digits(0).load(), "count is 0; give a whole number of at least 1"),
        (lambda: Digits(1798).load(), "count is 1798; give a whole number of at most 1797"),
        (lambda: Digits(shuffled_labels=-1).load(), "shuffled_labels is -1; give a whole"),
        (lambda: Curves(0).load(), "count is 0; give a whole number of at least 1"),
        (lambda: Curves(2, side=3).load(), "side is 3; give a whole number of at least 4"),
        (lambda: Curves(2, seed=0.5).load(), "seed is 0.5; give a whole"),
        (lambda: Rows(Digits(), 5, 1).load(), "start is 5; give a whole number of at most 0"),
        (lambda: Rows(Digits(), 0, 1798).load(), "stop is 1798; give a whole number of at most 1797"),
        (lambda: Rows("digits", 0, 1).load(), "'digits' is no source; give Digits"),
        (lambda: draw_curves(np.ones((3, 2)), 8), r"points have shape \(3, 2\); give three points"),
        (lambda: draw_curves(np.full((1, 3, 2), np.nan), 8), "points contains nan; give finite numbers"),
    ],
)
def test_data_that_cannot_be_are_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()
