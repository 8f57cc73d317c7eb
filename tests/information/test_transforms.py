"""Surrogates in torch.compile and torch.func have unchanged gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.distributions import Laplace

from sk_mige.information import (
    conditional_scores,
    entropy_surrogate,
    gaussian_mutual_info,
    gaussianize_margins,
    gaussianize_ranks,
    hidden_mutual_info_surrogate,
    multiview_mutual_info_surrogate,
    mutual_info_surrogate,
    relative_fisher_information,
    stochastic_mutual_info_surrogate,
    whitened_scores,
)
from sk_mige.score import median_bandwidth, squared_distances

M, D, K = 40, 4, 2
X = torch.randn(M, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NOISE = torch.randn(8, M, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
W = torch.randn(D, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

SURROGATES: dict[str, Callable[[Tensor], Tensor]] = {
    "entropy": entropy_surrogate,
    "circumstance I": lambda z: mutual_info_surrogate(X, z),
    "circumstance II": lambda z: hidden_mutual_info_surrogate(X * z[:, :1].cos(), z),
    "circumstance III, Gaussian": lambda z: stochastic_mutual_info_surrogate(
        z + NOISE[0], conditional=(z, torch.ones_like(z))
    ),
    "circumstance III, Laplace": lambda z: stochastic_mutual_info_surrogate(
        z + NOISE[0], conditional=Laplace(z, torch.ones_like(z))
    ),
    "circumstance III, implicit": lambda z: stochastic_mutual_info_surrogate(z + NOISE),
    "views": lambda z: multiview_mutual_info_surrogate(torch.stack([z, z + 0.1 * NOISE[0]])),
    "log-determinant": lambda z: gaussian_mutual_info(z, torch.ones_like(z)),
}
surrogates = pytest.mark.parametrize("surrogate", SURROGATES.values(), ids=SURROGATES)


def gradient(function: Callable[[Tensor], Tensor], w: Tensor = W) -> Tensor:
    w = w.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(X @ w), w)
    return found


@surrogates
def test_the_functional_gradient_is_the_gradient(surrogate: Callable[[Tensor], Tensor]) -> None:
    found = torch.func.grad(lambda w: surrogate(X @ w))(W)
    torch.testing.assert_close(found, gradient(surrogate))
    torch.testing.assert_close(torch.func.jacrev(lambda w: surrogate(X @ w))(W), found)


@surrogates
def test_a_batch_of_weights_has_the_gradients_of_each(
    surrogate: Callable[[Tensor], Tensor],
) -> None:
    weights = torch.stack([W, 2 * W.flip(0)])
    found = torch.func.vmap(torch.func.grad(lambda w: surrogate(X @ w)))(weights)
    torch.testing.assert_close(found, torch.stack([gradient(surrogate, w) for w in weights]))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch's forward mode
@surrogates
def test_the_forward_gradient_is_the_gradient(surrogate: Callable[[Tensor], Tensor]) -> None:
    found = torch.func.jacfwd(lambda w: surrogate(X @ w))(W)
    torch.testing.assert_close(found, gradient(surrogate))


@pytest.mark.parametrize(
    "function",
    [gaussianize_margins, gaussianize_ranks, relative_fisher_information, whitened_scores],
)
def test_a_batch_of_samples_has_the_values_of_each(function: Callable[[Tensor], Any]) -> None:
    samples = torch.stack([X, X.exp()])
    for k, z in enumerate(samples):
        found = torch.utils._pytree.tree_map(
            lambda t, k=k: t[k], torch.func.vmap(function)(samples)
        )
        torch.testing.assert_close(found, function(z))


def test_a_batch_of_labels_has_the_information_of_each() -> None:
    labels = torch.arange(M)[None] // torch.tensor([[10], [11]])
    found = torch.func.vmap(lambda y: gaussian_mutual_info(X, torch.ones(D), labels=y))(labels)
    expected = [gaussian_mutual_info(X, torch.ones(D), labels=y) for y in labels]
    torch.testing.assert_close(found, torch.stack(expected))


def test_scores_of_a_density_need_no_gradients_of_the_caller() -> None:
    expected = conditional_scores(X, lambda z: -z.square().square().sum(-1))
    torch.testing.assert_close(expected, -4 * X**3)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            found = conditional_scores(1 * X, lambda z: -z.square().square().sum(-1))
        torch.testing.assert_close(found, expected)
    with torch.inference_mode(), pytest.raises(ValueError, match=r"conditional.*torch.no_grad"):
        conditional_scores(X, Laplace(X.cos(), X.exp()))


@surrogates
@pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated, and warns of parts in Python
def test_a_traced_surrogate_has_the_gradient_of_other_samples(
    surrogate: Callable[[Tensor], Tensor],
) -> None:
    traced = torch.jit.trace(surrogate, X @ W, check_trace=False)
    other = W.flip(0) * torch.tensor([3.0, 1.0])
    torch.testing.assert_close(gradient(traced, other), gradient(surrogate, other))


@pytest.mark.parametrize("name", ["entropy", "circumstance I", "circumstance II", "views"])
def test_surrogates_of_ssge_have_shapes_without_values(name: str) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        z = mode.from_tensor(X @ W).requires_grad_()
        SURROGATES[name](z).backward()
        assert z.grad is not None
        assert z.grad.shape == z.shape
    assert squared_distances(torch.empty(5, 2, device="meta")).shape == (5, 5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch's forward mode
def test_the_forward_derivative_of_the_median_is_the_derivative() -> None:
    z, direction = (X @ W).requires_grad_(), NOISE[0]
    (slopes,) = torch.autograd.grad(median_bandwidth(squared_distances(z)), z)
    with forward_ad.dual_level():
        median = median_bandwidth(squared_distances(forward_ad.make_dual(z.detach(), direction)))
        derivative = forward_ad.unpack_dual(median).tangent
    torch.testing.assert_close(derivative, (slopes * direction).sum())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch's forward mode
@pytest.mark.parametrize(
    "hessian",
    [
        torch.autograd.functional.hessian,
        lambda f, z: torch.func.hessian(f)(z),
        lambda f, z: torch.func.jacrev(torch.func.jacfwd(f))(z),
        lambda f, z: torch.func.jacfwd(torch.func.jacfwd(f))(z),
        lambda f, z: torch.func.grad(lambda z: torch.func.grad(f)(z).square().sum())(z),
    ],
    ids=["autograd", "forward of reverse", "reverse of forward", "forward twice", "reverse twice"],
)
def test_second_derivatives_of_the_log_determinant_are_refused(hessian: Any) -> None:
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        hessian(SURROGATES["log-determinant"], X @ W)


# Compilation of each surrogate takes seconds. Most other surrogates consist of these three. Parts
# that NumPy computes need graph breaks.
compiled = {
    "circumstance I": True,
    "circumstance III, implicit": False,
    "log-determinant": False,
}


@pytest.mark.filterwarnings("ignore")  # torch warns of graph breaks
@pytest.mark.parametrize(("name", "in_one_graph"), compiled.items())
def test_a_compiled_surrogate_has_the_same_gradient(name: str, in_one_graph: bool) -> None:
    torch.compiler.reset()
    compiled = torch.compile(SURROGATES[name], backend="eager", fullgraph=in_one_graph)
    torch.testing.assert_close(gradient(compiled), gradient(SURROGATES[name]))
