"""First weights: as many as promised, as wide as promised, the same for the same seed."""

import numpy as np
import pytest

from momentum_lib.learning import echo_state, normal_weights, sparse_weights


def rng(seed=0):
    return np.random.default_rng(seed)


def radius_of(weights):
    return abs(np.linalg.eigvals(weights.astype(float))).max()


@pytest.mark.parametrize(("fan_in", "connections"), [(40, 15), (15, 15), (9, 9), (1, 1)])
def test_a_unit_has_exactly_fifteen_incoming_connections_all_where_fewer_are_below(fan_in, connections):
    weights = sparse_weights(rng(), fan_in, 30)
    assert weights.shape == (fan_in, 30) and weights.dtype == np.float32
    assert (np.count_nonzero(weights, axis=0) == connections).all()


def test_units_choose_their_connections_each_for_itself():
    used = np.count_nonzero(sparse_weights(rng(), 40, 400), axis=1)  # 150 units on average listen to an input
    assert used.min() > 100 and used.max() < 200


def test_the_weights_that_are_not_zero_have_the_given_width():
    for scale in (1.0, 0.25):
        weights = sparse_weights(rng(), 200, 1000, scale=scale)
        drawn = weights[weights != 0]
        assert drawn.std() == pytest.approx(scale, rel=0.03)
        assert abs(drawn.mean()) < 0.05 * scale


@pytest.mark.parametrize(("radius", "scale"), [(1.1, 1.0), (1.1, 0.5), (0.7, 3.0)])
def test_the_spectral_radius_is_radius_times_scale(radius, scale):
    weights = echo_state(rng(), 50, radius=radius, scale=scale)
    assert radius_of(weights) == pytest.approx(radius * scale, rel=1e-5)
    assert (np.count_nonzero(weights, axis=0) == 15).all() and weights.dtype == np.float32


def test_dense_weights_give_a_unit_an_input_of_width_one():
    weights = normal_weights(rng(), 400, 300)
    assert weights.std() == pytest.approx(1 / 20, rel=0.02)
    signals = rng(1).standard_normal((100, 400)) @ weights
    assert signals.std() == pytest.approx(1, rel=0.05)


def test_dense_weights_take_a_width_of_their_own():
    assert normal_weights(rng(), 400, 300, 0.3).std() == pytest.approx(0.3, rel=0.02)
    assert not normal_weights(rng(), 4, 3, 0.0).any()
    assert normal_weights(rng(), 4, 3).dtype == np.float32


@pytest.mark.parametrize(
    "made",
    [lambda r: sparse_weights(r, 20, 9), lambda r: echo_state(r, 20), lambda r: normal_weights(r, 20, 9)],
)
def test_the_same_seed_gives_the_same_weights(made):
    assert (made(rng(3)) == made(rng(3))).all()
    assert (made(rng(3)) != made(rng(4))).any()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: sparse_weights(rng(), 4, 4, connections=0), "connections is 0; give a whole"),
        (lambda: sparse_weights(rng(), -1, 4), "fan_in is -1; give a whole number of at least 1"),
        (lambda: sparse_weights(rng(), 4, 4, scale=np.nan), "scale is nan; give one finite number"),
        (lambda: normal_weights(rng(), 3, 0.5), "fan_out is 0.5; give a whole"),
        (lambda: normal_weights(rng(), 3, 3, "wide"), "scale is 'wide'; give one finite number"),
        (lambda: echo_state(rng(), 4, radius=np.nan), "radius is nan; give one finite number above 0"),
        (lambda: echo_state(rng(), 4, connections=-1), "connections is -1"),
        (lambda: echo_state(rng(), 4, radius=0), "radius is 0; give one finite number above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()
