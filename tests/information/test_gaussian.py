"""The Gaussian information of a batch: unbiased where the sample covariance is not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_mige.information import gaussian_mutual_info

from .conftest import exact_normal


@pytest.mark.parametrize("d", [2, 8, 32, 128, 256])
@pytest.mark.parametrize("signal", [0.3, 1.0])
def test_information_and_gradient_at_a_hundred_samples_in_any_dimension(d, signal, generator):
    """I = d/2 log(1 + s²) and dI/dlog σ = -d s²/(1 + s²), without the bias of up to half."""
    log_scale = torch.zeros(d, dtype=torch.float64, requires_grad=True)
    value = torch.zeros((), dtype=torch.float64)
    n_batches = 20
    for _ in range(n_batches):
        x = torch.randn(100, d, generator=generator, dtype=torch.float64)
        value = value + gaussian_mutual_info(signal * x, log_scale.exp()) / n_batches
    (gradient,) = torch.autograd.grad(value, log_scale)
    truth = d / 2 * torch.log1p(torch.tensor(signal**2))
    slope = -(signal**2) / (1 + signal**2)
    assert abs(value / truth - 1) < 0.05
    assert abs(gradient.mean() / slope - 1) < 0.05
    assert torch.linalg.norm(gradient - slope) < 0.2 * abs(slope) * d**0.5


def test_many_samples_give_the_closed_form_at_every_weight(generator):
    x = exact_normal(4000, 4, generator)
    w = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    estimated = gaussian_mutual_info(x @ w.mT, scale)
    exact = 0.5 * torch.logdet(w @ w.mT + scale.square().diag()) - scale.log().sum()
    torch.testing.assert_close(estimated, exact, rtol=2e-3, atol=0)
    for one, other in zip(
        torch.autograd.grad(estimated, (w, scale)),
        torch.autograd.grad(exact, (w, scale)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [(12, 3), (5, 9), (4, 30), (3, 2), (2, 20)])
@pytest.mark.parametrize("signal", [0.2, 5.0])  # with and without a root w
def test_the_gradient_is_that_of_the_value(shape, signal, generator):
    mean = signal * torch.randn(*shape, generator=generator, dtype=torch.float64)
    scale = 0.5 + torch.rand(*shape, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        gaussian_mutual_info, (mean.requires_grad_(), scale.requires_grad_())
    )


@pytest.mark.parametrize("strong", [0.0, 1e4, 1e8])
@pytest.mark.parametrize("shape", [(100, 10), (100, 80), (100, 256), (500, 10)])
def test_a_few_strong_directions_do_not_hide_the_others(shape, strong, generator):
    """Five directions have a far larger variance than the other directions."""
    m, d = shape
    variance = torch.full((d,), 0.5, dtype=torch.float64)
    variance[:5] += strong
    log_scale = torch.zeros(d, dtype=torch.float64, requires_grad=True)
    value = torch.zeros((), dtype=torch.float64)
    for _ in range(20):
        x = torch.randn(m, d, generator=generator, dtype=torch.float64) * variance.sqrt()
        value = value + gaussian_mutual_info(x, log_scale.exp()) / 20
    (gradient,) = torch.autograd.grad(value, log_scale)
    assert abs(value.detach() / (0.5 * torch.log1p(variance).sum()) - 1) < 0.03
    weak = variance == 0.5
    assert abs(gradient[weak].mean() / -(1 / 3) - 1) < 0.05
    if strong:
        torch.testing.assert_close(gradient[~weak], -torch.ones(5).double(), atol=0.01, rtol=0)


@pytest.mark.parametrize("apart", [0.0, 30.0, 1e4])
@pytest.mark.parametrize("d", [8, 256])
def test_information_within_classes_does_not_depend_on_the_centres(apart, d, generator):
    """The value is H(y) + I(x; z | y) for all centres of the classes."""
    centers = apart * torch.randn(10, d, generator=generator, dtype=torch.float64)
    log_scale = torch.zeros(d, dtype=torch.float64, requires_grad=True)
    value = torch.zeros((), dtype=torch.float64)
    for _ in range(20):
        labels = torch.arange(100) % 10
        mean = torch.randn(100, d, generator=generator, dtype=torch.float64) + centers[labels]
        value = value + gaussian_mutual_info(mean, log_scale.exp(), labels=labels) / 20
    (gradient,) = torch.autograd.grad(value, log_scale)
    truth = torch.log(torch.tensor(10.0)) + d / 2 * torch.log(torch.tensor(2.0))
    assert abs(value.detach() / truth - 1) < 0.03
    assert abs(gradient.mean() / -0.5 - 1) < 0.05


@pytest.mark.parametrize("shape", [(12, 3), (9, 20)])
@pytest.mark.parametrize("signal", [0.2, 5.0])
def test_the_gradient_within_classes_is_that_of_the_value(shape, signal, generator):
    labels = torch.tensor([0, 0, 3, 1] * 3)[: shape[0]]  # class 2 is not in the batch
    mean = signal * torch.randn(*shape, generator=generator, dtype=torch.float64)
    scale = 0.5 + torch.rand(*shape, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda mean, scale: gaussian_mutual_info(mean, scale, labels=labels),
        (mean.requires_grad_(), scale.requires_grad_()),
    )


def test_classes_may_have_any_numbers(generator):
    mean, few = torch.randn(12, 3, generator=generator), torch.arange(12) % 3
    many = torch.tensor([0, 7, 10**12])[few]
    expected = gaussian_mutual_info(mean, torch.ones(3), labels=few)
    torch.testing.assert_close(gaussian_mutual_info(mean, torch.ones(3), labels=many), expected)


@pytest.mark.parametrize("shape", [(20, 4), (20, 30)])
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, 1e38])
def test_means_that_are_not_finite_give_nan_rather_than_an_exception(shape, broken, generator):
    """Training then returns to the last good weights."""
    mean = torch.randn(*shape, generator=generator)
    mean[0, 0] = broken
    mean = mean.requires_grad_()
    value = gaussian_mutual_info(mean, torch.full((shape[1],), 1e-3))
    assert torch.isnan(value)
    assert torch.isnan(torch.autograd.grad(value, mean)[0]).all()


@pytest.mark.parametrize("signal", [1.0, 30.0])
def test_a_batch_of_two_rows_gives_the_information_on_average(signal, generator):
    """Two rows give a single eigenvalue, which represents all 256 eigenvalues."""
    values = [
        gaussian_mutual_info(signal * torch.randn(2, 256, generator=generator), torch.ones(256))
        for _ in range(10)
    ]
    truth = 128 * torch.log1p(torch.tensor(signal**2))
    assert abs(torch.stack(values).mean() / truth - 1) < 0.05


def test_the_log_determinant_of_the_sample_covariance_is_biased(generator):
    mean = torch.randn(100, 256, generator=generator, dtype=torch.float64)
    centred = mean - mean.mean(0)
    plain = 0.5 * torch.logdet(torch.eye(100) + centred @ centred.mT / 100)
    truth = 128 * torch.log(torch.tensor(2.0))
    assert plain < 0.7 * truth
    assert abs(gaussian_mutual_info(mean, torch.ones(256)) / truth - 1) < 0.03


@settings(max_examples=30)
@given(
    m=st.integers(1, 12),
    d=st.integers(1, 40),
    log_signal=st.floats(-20, 20),
    log_scale=st.floats(-10, 10),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_value_and_gradient_are_finite_whatever_the_shape(m, d, log_signal, log_scale, dtype):
    generator = torch.Generator().manual_seed(0)
    mean = 10.0 ** (log_signal / 2) * torch.randn(m, d, generator=generator, dtype=dtype)
    scale = torch.full((d,), 10.0 ** (log_scale / 2), dtype=dtype, requires_grad=True)
    value = gaussian_mutual_info(mean.requires_grad_(), scale)
    assert value.dtype == dtype
    for gradient in torch.autograd.grad(value, (mean, scale)):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("mean", [torch.ones(10, 3), torch.zeros(10, 3)])
def test_an_encoder_that_ignores_its_input_keeps_no_information(mean):
    mean = mean.requires_grad_()
    scale = torch.full((3,), 0.7, requires_grad=True)
    value = gaussian_mutual_info(mean, scale)
    torch.testing.assert_close(value, torch.tensor(0.0))
    for gradient in torch.autograd.grad(value, (mean, scale)):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)


@settings(max_examples=20)
@given(seed=st.integers(0, 100), m=st.integers(3, 20), d=st.integers(1, 20))
def test_units_translations_and_the_order_of_samples_do_not_matter(seed, m, d):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(m, d, generator=generator, dtype=torch.float64)
    scale = 0.5 + torch.rand(m, d, generator=generator, dtype=torch.float64)
    unit = torch.rand(d, generator=generator, dtype=torch.float64) * 100 + 0.01
    value = gaussian_mutual_info(mean, scale)
    order = torch.randperm(m, generator=generator)
    torch.testing.assert_close(value, gaussian_mutual_info(unit * mean + 7, unit * scale))
    torch.testing.assert_close(value, gaussian_mutual_info(mean[order], scale[order]))
