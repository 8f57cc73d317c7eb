"""Gradients of conditional information, total correlation and transfer entropy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from sk_mige.information import (
    conditional_mutual_info_gradient,
    mutual_info_gradient,
    total_correlation_gradient,
    transfer_entropy_gradient,
)

# (x, y, z) = (START + θ CHANGE) u at θ = 0, with u ~ N(0, I)
START = np.random.default_rng(3).standard_normal((3, 3)) + 2 * np.eye(3)
CHANGE = np.random.default_rng(4).standard_normal((3, 3))


def log_det(covariance: np.ndarray, columns: list[int]) -> float:
    return float(np.linalg.slogdet(covariance[np.ix_(columns, columns)])[1])


def conditional(covariance: np.ndarray, x: int, y: int, z: int) -> float:
    alone = log_det(covariance, [x, z]) + log_det(covariance, [y, z])
    return 0.5 * (alone - log_det(covariance, [z]) - log_det(covariance, [x, y, z]))


def total(covariance: np.ndarray) -> float:
    return 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])


def derivative(value: Callable[[float], float], at: float = 0.0) -> float:
    return (value(at + 1e-5) - value(at - 1e-5)) / 2e-5


def mixed(theta: float) -> np.ndarray:
    return (START + theta * CHANGE) @ (START + theta * CHANGE).T


def samples(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    u = np.random.default_rng(seed).standard_normal((3, n))
    return START @ u, CHANGE @ u


def test_conditional_information_of_gaussians() -> None:
    (x, y, z), (dx, dy, dz) = samples(1500)
    found = conditional_mutual_info_gradient(x, y, z, dx=dx, dy=dy, dz=dz)
    truth = derivative(lambda t: conditional(mixed(t), 0, 1, 2))
    assert abs(found.gradient - truth) < 3 * found.standard_error
    assert found.standard_error < 0.2 * truth


def test_derivatives_of_fixed_variables_may_be_left_out() -> None:
    (x, y, z), (_, dy, _) = samples(300)
    left_out = conditional_mutual_info_gradient(x, y, z, dy=dy, n_batches=3)
    zeros = np.zeros_like(x)
    given = conditional_mutual_info_gradient(x, y, z, dx=zeros, dy=dy, dz=zeros, n_batches=3)
    np.testing.assert_allclose(left_out, given)


def test_chain_rule_links_it_to_the_gradient_of_mutual_information() -> None:
    (x, y, z), (_, dy, _) = samples(300)
    options = {"margins": None, "standard_error": "batch"}
    found, _ = conditional_mutual_info_gradient(x, y, z, dy=dy, **options)
    both = mutual_info_gradient(np.column_stack([x, z]), y, dy, joint="coordinates", **options)
    alone = mutual_info_gradient(z, y, dy, joint="coordinates", **options)
    assert found == pytest.approx(both.gradient - alone.gradient, abs=0.02)


def test_increasing_maps_leave_the_gradient_alone() -> None:
    (x, y, z), (_, dy, _) = samples(500)
    plain, error = conditional_mutual_info_gradient(x, y, z, dy=dy)
    moved = conditional_mutual_info_gradient(
        np.exp(x), np.sinh(y), 1e6 * z, dy=np.cosh(y) * dy, standard_error="batch"
    )
    assert abs(moved.gradient - plain) < 3 * error


def test_total_correlation_of_gaussians() -> None:
    variables, derivatives = samples(1500)
    found = total_correlation_gradient(list(variables), list(derivatives))
    assert abs(found.gradient - derivative(lambda t: total(mixed(t)))) < 3 * found.standard_error


def test_total_correlation_of_two_is_their_information() -> None:
    (x, y, _), (dx, dy, _) = samples(300)
    options = {"standard_error": "batch"}
    total_gradient = total_correlation_gradient([x, y], [dx, dy], **options)
    np.testing.assert_allclose(total_gradient, mutual_info_gradient(x, y, dy, dx=dx, **options))


def test_several_parameters_at_once_are_each_as_alone() -> None:
    (x, y, z), (_, dy, _) = samples(150)
    several = np.stack([dy, np.cos(y)], axis=-1)
    both = conditional_mutual_info_gradient(x, y, z, dy=several, n_batches=3)
    for k in range(2):
        alone = conditional_mutual_info_gradient(x, y, z, dy=several[:, k], n_batches=3)
        assert both.gradient[k] == pytest.approx(alone.gradient)
        assert both.standard_error[k] == pytest.approx(alone.standard_error)


def autoregression(n: int, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and dy/dθ of y_t = θ x_{t-1} + y_{t-1} / 2 + noise."""
    noise = np.random.default_rng(0).standard_normal((2, n + 100))
    x, y, dy = np.zeros((3, n + 100))
    for t in range(1, n + 100):
        x[t] = 0.7 * x[t - 1] + noise[0, t]
        y[t] = strength * x[t - 1] + 0.5 * y[t - 1] + noise[1, t]
        dy[t] = x[t - 1] + 0.5 * dy[t - 1]
    return x[100:], y[100:], dy[100:]


def true_transfer(strength: float) -> float:
    step = np.array([[0.7, 0.0], [strength, 0.5]])
    now = solve_discrete_lyapunov(step, np.eye(2))
    return conditional(np.block([[now, now @ step.T], [step @ now, now]]), 0, 3, 1)


def test_transfer_entropy_of_a_vector_autoregression() -> None:
    x, y, dy = autoregression(2000, 0.5)
    found = transfer_entropy_gradient(x, y, dtarget=dy)
    truth = derivative(true_transfer, 0.5)
    assert abs(found.gradient - truth) < 3 * found.standard_error
    assert found.standard_error < 0.1 * truth


def test_scaling_the_source_does_not_change_the_transfer_entropy() -> None:
    x, y, _ = autoregression(500, 0.5)
    found = transfer_entropy_gradient(x, y, dsource=x, lag=2, standard_error="batch")
    assert abs(found.gradient) < 0.05


@settings(max_examples=5)
@given(st.integers(0, 2**20))
def test_order_of_the_samples_does_not_matter(seed: int) -> None:
    (x, y, z), (_, dy, _) = samples(90, seed)
    order = np.random.default_rng(seed).permutation(90)
    straight, permuted = (
        conditional_mutual_info_gradient(x[o], y[o], z[o], dy=dy[o], standard_error="batch")
        for o in (slice(None), order)
    )
    assert permuted.gradient == pytest.approx(straight.gradient, rel=1e-5, abs=1e-6)


GOOD, MOVED = samples(40)
CONDITIONAL, TOTAL, TRANSFER = (
    conditional_mutual_info_gradient,
    total_correlation_gradient,
    transfer_entropy_gradient,
)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CONDITIONAL(*GOOD), "at least one derivative of x, y, z must be given"),
        (lambda: CONDITIONAL(GOOD[0][1:], *GOOD[1:], dy=MOVED[1]), "same number .* got 39, 40, 40"),
        (lambda: CONDITIONAL(*GOOD, dy=MOVED[1][1:]), "dy must have the shape of y"),
        (lambda: CONDITIONAL(*GOOD, dx=MOVED[0], dy=MOVED[:2].T), "dx, dy must .* parameters"),
        (lambda: CONDITIONAL(GOOD[0], np.ones(40), GOOD[2], dx=MOVED[0]), "y is constant"),
        (lambda: CONDITIONAL(*GOOD[[0, 1, 1]], dx=MOVED[0]), "share a linear combination"),
        (lambda: CONDITIONAL(GOOD[:2].T, np.eye(40), GOOD[2], dx=MOVED[:2].T), "3 samples per"),
        (lambda: CONDITIONAL(*GOOD, dy=MOVED[1], margins="t"), "margins must be one of"),
        (
            lambda: CONDITIONAL(*GOOD, dy=MOVED[1], n_batches=1),
            "n_batches must be an integer of at least 2",
        ),
        (lambda: TOTAL(GOOD[:1], MOVED[:1]), "variables and derivatives .* lengths 1 and 1"),
        (lambda: TOTAL(GOOD, MOVED[:2]), "got the lengths 3 and 2"),
        (lambda: TRANSFER(*GOOD[:2], dtarget=MOVED[1], lag=0), "lag must be a positive integer"),
        (lambda: TRANSFER(*GOOD[:2], dtarget=MOVED[1], lag=31), "lag=31 leaves 9"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
