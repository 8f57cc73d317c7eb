"""Several views of each input: gradient and invariances of the bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_mige.information import multiview_mutual_info_surrogate
from sk_mige.information.views import within_entropy

from .conftest import exact_normal, gaussian_score


def linear_views(m, s, d_x, d, generator):
    """Views z = W x + B ε with exact moments, and their parameters."""
    x, *noise = exact_normal(m, d_x + s * d, generator).split([d_x] + s * [d], dim=1)
    w = torch.randn(d, d_x, generator=generator, dtype=torch.float64, requires_grad=True)
    b = torch.randn(d, d, generator=generator, dtype=torch.float64) + 2 * torch.eye(d).double()
    b.requires_grad_()
    return x @ w.mT + torch.stack(noise) @ b.mT, w, b


@settings(max_examples=20)
@given(d_x=st.integers(1, 4), d=st.integers(1, 4), s=st.integers(2, 4), seed=st.integers(0, 99))
def test_the_gradient_of_a_linear_channel_with_exact_scores_is_exact(d_x, d, s, seed):
    """z | x is Gaussian with one covariance for all x: the bound is the information."""
    generator = torch.Generator().manual_seed(seed)
    z, w, b = linear_views(80, s, d_x, d, generator)
    noise = b @ b.mT
    information = 0.5 * (torch.logdet(w @ w.mT + noise) - torch.logdet(noise))
    surrogate = multiview_mutual_info_surrogate(z, score=gaussian_score, floor=0.0)
    for estimated, exact in zip(
        torch.autograd.grad(surrogate, (w, b)),
        torch.autograd.grad(information, (w, b)),
        strict=True,
    ):
        torch.testing.assert_close(estimated, exact, rtol=1e-6, atol=1e-6)


def test_the_entropy_within_inputs_is_a_differentiable_function(generator):
    z = torch.randn(3, 6, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: within_entropy(z, floor=0.0), z)


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("within", [1.0, 0.03, 1e-3])  # the ridge is .03²
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_scaling_and_shifting_all_of_z_have_gradient_zero(factor, within, offset, generator):
    noise = torch.randn(2, 100, 8, generator=generator, dtype=torch.float64)
    z = factor * (torch.randn(100, 8, generator=generator, dtype=torch.float64) + within * noise)
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    multiview_mutual_info_surrogate(log_scale.exp() * (z + factor * offset) + bias).backward()
    assert abs(log_scale.grad) < 1e-6 * 8  # each of two terms is 8
    assert (bias.grad.abs() < 1e-9 / factor).all()


def test_noise_between_views_reduces_the_information(generator):
    """For z = signal + exp(a) noise, I = ½ log(1 + exp(-2a)), and dI/da = -½ at a = 0."""
    signal = torch.randn(1, 500, 1, generator=generator)
    a = torch.zeros((), requires_grad=True)
    multiview_mutual_info_surrogate(
        signal + a.exp() * torch.randn(2, 500, 1, generator=generator)
    ).backward()
    torch.testing.assert_close(a.grad, torch.tensor(-0.5), rtol=0.1, atol=0)


@pytest.mark.filterwarnings("ignore:z is constant")
@settings(max_examples=20)
@given(
    s=st.integers(2, 3),
    m=st.integers(3, 12),
    d=st.integers(1, 30),
    kind=st.sampled_from(["free", "equal views", "equal inputs", "one point"]),
)
def test_gradients_are_finite_whatever_the_views(s, m, d, kind):
    z = torch.randn(s, m, d, generator=torch.Generator().manual_seed(0))
    if kind == "equal views":
        z = z[:1].expand(s, m, d)
    elif kind == "equal inputs":
        z = z[:, :1].expand(s, m, d)
    elif kind == "one point":
        z = torch.ones(s, m, d)
    z = z.clone().requires_grad_()
    multiview_mutual_info_surrogate(z).backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("shape", [(10, 2), (1, 10, 2)])
def test_one_view_is_too_few(shape):
    with pytest.raises(ValueError, match=r"S >= 2; got shape \("):
        multiview_mutual_info_surrogate(torch.zeros(shape))


def gradient_errors(s, generator):
    """RMS errors of the gradients of H(z | x) and I(x; z), over 60 batches of 32 rows.

    The views z = x + e + t e' have H(z | x) = 2 log(1 + t²) and I = 2 log(1 + 1 / (1 + t²)) up to
    a constant. At t = 1, the gradients are 2 and -2/3.
    """
    errors = []
    for _ in range(60):
        t = torch.ones((), dtype=torch.float64, requires_grad=True)
        x = torch.randn(32, 4, generator=generator, dtype=torch.float64)
        one, two = torch.randn(2, s, 32, 4, generator=generator, dtype=torch.float64)
        z = x + one + t * two
        surrogate = multiview_mutual_info_surrogate(z, score=gaussian_score, floor=0.0)
        within = torch.autograd.grad(within_entropy(z, floor=0.0), t, retain_graph=True)[0]
        errors.append(torch.stack([within - 2, torch.autograd.grad(surrogate, t)[0] + 2 / 3]))
    return torch.stack(errors).square().mean(0).sqrt()


def test_more_views_estimate_both_entropies_of_a_gaussian_better(generator):
    two, five, twenty = (gradient_errors(s, generator) for s in (2, 5, 20))
    assert (five < 0.7 * two).all()
    assert (twenty < 0.8 * five).all()
    assert twenty[0] < 0.03 * 2


def test_with_many_views_the_entropy_of_z_uses_the_first_512_rows(generator):
    z = torch.randn(20, 100, 2, generator=generator, dtype=torch.float64).requires_grad_()
    entropy = multiview_mutual_info_surrogate(z) + within_entropy(z)
    used = torch.autograd.grad(entropy, z)[0].abs().amax((1, 2))
    assert (used[:6] > 1e-6).all()  # 600 rows
    assert (used[6:] < 1e-12).all()
