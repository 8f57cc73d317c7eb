"""Unusable tensors in surrogates: errors and warnings that name the parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sk_mige import SSGEScoreEstimator
from sk_mige.information import (
    DonskerVaradhan,
    conditional_scores,
    entropy_surrogate,
    gaussian_mutual_info,
    hidden_mutual_info_surrogate,
    joint_squared_distances,
    multiview_mutual_info_surrogate,
    mutual_info_surrogate,
    smile,
    stochastic_mutual_info_surrogate,
    whitened_scores,
)
from sk_mige.information.hidden import mean_hidden_mutual_info_surrogate
from sk_mige.score import stein_kernel, whitening

M, D, K = 32, 4, 2
X = torch.randn(M, D, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(6, M, K, generator=torch.Generator().manual_seed(1))

# Each surrogate as a function of a code z (M, K).
SURROGATES: dict[str, Callable[..., Tensor]] = {
    "entropy": entropy_surrogate,
    "I": lambda z, **given: mutual_info_surrogate(X, z, **given),
    "II": lambda z, **given: hidden_mutual_info_surrogate(X, z, **given),
    "II, parts": lambda z, **given: mean_hidden_mutual_info_surrogate(X[None], z, **given),
    "III": lambda z, **given: stochastic_mutual_info_surrogate(z + 0.1 * NOISE, **given),
    "III, explicit": lambda z, **given: stochastic_mutual_info_surrogate(
        z, conditional=(X[:, :K], torch.ones(K)), marginal="stein", **given
    ),
    "views": lambda z, **given: multiview_mutual_info_surrogate(z + 0.1 * NOISE, **given),
}
every_surrogate = pytest.mark.parametrize("name", list(SURROGATES))


def code() -> Tensor:
    return X[:, :K].clone().requires_grad_()


@every_surrogate
@pytest.mark.parametrize("score", [SSGEScoreEstimator(), SSGEScoreEstimator, "ssge"])
def test_a_score_that_is_no_function_is_named(name: str, score: Any) -> None:
    with pytest.raises(TypeError, match=r"score must be a function of a batch.*partial\(ssge.*got"):
        SURROGATES[name](code(), score=score)


@every_surrogate
def test_scores_of_another_shape_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"score must return .* shape of z.*returned \(3,\)"):
        SURROGATES[name](code(), score=lambda z, **_: torch.zeros(3))


@every_surrogate
def test_a_code_without_a_graph_is_warned_of(name: str) -> None:
    with pytest.warns(UserWarning, match="has no graph.*without detach"):
        SURROGATES[name](code().detach())


@pytest.mark.parametrize(
    "call",
    [
        entropy_surrogate,
        lambda z: mutual_info_surrogate(X, z),
        lambda z: hidden_mutual_info_surrogate(X, z),
        stochastic_mutual_info_surrogate,
        multiview_mutual_info_surrogate,
    ],
    ids=["entropy", "I", "II", "III", "views"],
)
def test_a_sparse_code_is_named(call: Callable[..., Tensor]) -> None:
    with pytest.raises(TypeError, match=r"z is a sparse tensor: pass z.to_dense\(\)"):
        call(NOISE[0].to_sparse())


@every_surrogate
def test_without_gradients_a_code_needs_no_graph(name: str) -> None:
    with torch.no_grad():
        assert SURROGATES[name](code()).isfinite()


@pytest.mark.parametrize("name", ["entropy", "I", "II", "II, parts", "III, explicit"])
def test_a_constant_code_is_warned_of(name: str) -> None:
    with pytest.warns(UserWarning, match="z is constant.*BatchNorm1d"):
        SURROGATES[name](torch.ones(M, K, requires_grad=True))


@every_surrogate
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_missing_value_makes_the_gradient_nan(name: str, dtype: torch.dtype) -> None:
    z = X[:, :K].to(dtype, copy=True)
    z[3, 1] = torch.nan
    z.requires_grad_()
    SURROGATES[name](z).backward()
    assert z.grad is not None
    assert z.grad[3].isnan().any()


def test_a_missing_value_of_x_makes_the_gradient_nan() -> None:
    x, z = X.clone(), code()
    x[0, 0] = torch.nan
    mutual_info_surrogate(x, z).backward()
    assert z.grad is not None
    assert z.grad.isnan().all()


UNUSABLE: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "NumPy x": (lambda: mutual_info_surrogate(X.numpy(), code()), TypeError, "x must be a tensor"),
    "NumPy z": (lambda: entropy_surrogate(np.ones((M, K))), TypeError, "z must be a tensor"),
    "list h": (lambda: hidden_mutual_info_surrogate([1.0], code()), TypeError, "h must be a"),
    "whole z": (lambda: entropy_surrogate(torch.ones(M, K).long()), TypeError, "z must be real"),
    "complex x": (
        lambda: mutual_info_surrogate(X.to(torch.complex64), code()), TypeError, "x must be real"
    ),
    "one row": (lambda: entropy_surrogate(code()[:1]), ValueError, r"z must .*got shape \(1, 2\)"),
    "a number": (lambda: entropy_surrogate(code()[0, 0]), ValueError, r"z must .*got shape \(\)"),
    "no columns": (lambda: entropy_surrogate(code()[:, :0]), ValueError, r"z must .*\(32, 0\)"),
    "31 rows of x": (
        lambda: mutual_info_surrogate(X[1:], code()), ValueError, "x, z must .* got 31, 32"
    ),
    "31 rows of h": (
        lambda: hidden_mutual_info_surrogate(X[1:], code()), ValueError, "h, z must .* got 31, 32"
    ),
    "projection": (
        lambda: mutual_info_surrogate(X, code(), projection=torch.ones(D, 3)),
        ValueError, r"projection must have shape \(k, 4\); got \(4, 3\)",
    ),
    "parts": (
        lambda: mean_hidden_mutual_info_surrogate(X, code()), ValueError, r"h must .*\(P, M, d_h\)"
    ),
    "four axes": (
        lambda: stochastic_mutual_info_surrogate(torch.ones(2, 2, 3, 4)),
        ValueError, r"z must have shape \(M, d\), or \(S, M, d\)",
    ),
    "rows of the mean": (
        lambda: stochastic_mutual_info_surrogate(code(), conditional=(X, torch.ones(K))),
        ValueError, r"conditional's mean must be broadcastable to shape \(32, 2\)",
    ),
    "NumPy scale": (
        lambda: stochastic_mutual_info_surrogate(code(), conditional=(code(), np.ones(K))),
        TypeError, "conditional's scale must be a tensor, got ndarray",
    ),
    "three parts": (
        lambda: conditional_scores(code(), (code(), code(), code())), ValueError, "pair"
    ),
    "no density": (
        lambda: conditional_scores(code(), "normal"), TypeError, "conditional must be a pair"
    ),
    "NumPy density": (
        lambda: conditional_scores(code(), lambda z: z.detach().numpy().sum(1)),
        ValueError, "conditional must return a tensor .*torch operations",
    ),
    "no axis": (lambda: gaussian_mutual_info(X[0], X[0]), ValueError, r"mean must .*\(M, d\)"),
    "scale": (
        lambda: gaussian_mutual_info(X, torch.ones(3)), ValueError, "scale must be broadcastable"
    ),
    "floor": (
        lambda: gaussian_mutual_info(X, torch.ones(D), floor=0.0), ValueError, "floor must be"
    ),
    "labels of other rows": (
        lambda: gaussian_mutual_info(X, torch.ones(D), labels=torch.zeros(3).long()),
        ValueError, "labels must be 32 class indices",
    ),
    "labels below zero": (
        lambda: gaussian_mutual_info(X, torch.ones(D), labels=-torch.ones(M).long()),
        ValueError, "labels must be 32 class indices from 0",
    ),
    "oblong distances": (
        lambda: joint_squared_distances(torch.ones(3, 3), torch.ones(3, 4)),
        ValueError, "sq_x and sq_z must both",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_tensors_are_named(case: str) -> None:
    call, error, message = UNUSABLE[case]
    with pytest.raises(error, match=message):
        call()


def test_views_and_inputs_that_are_swapped_are_warned_of() -> None:
    z = torch.stack([code(), code() + 0.1 * NOISE[0]], dim=1)
    with pytest.warns(UserWarning, match=r"32 views of each of 2 inputs.*transpose\(0, 1\)"):
        multiview_mutual_info_surrogate(z)


def test_draws_and_inputs_that_are_swapped_are_warned_of() -> None:
    z = torch.randn(128, 16, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with pytest.warns(UserWarning, match=r"128 draws of each of 16 inputs.*transpose\(0, 1\)"):
        stochastic_mutual_info_surrogate(z, marginal="stein")


@pytest.mark.parametrize("name", ["entropy", "I"])
def test_fewer_rows_than_columns_are_warned_of(name: str) -> None:
    z = torch.randn(M, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with pytest.warns(UserWarning, match="z has 32 rows of 64 columns.*batches of 64 rows"):
        SURROGATES[name](z)


@pytest.mark.parametrize("number", ["a", None, [1.0], -1.0, torch.nan, torch.inf])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("x_scale", lambda **given: mutual_info_surrogate(X, code(), **given)),
        ("x_scale", lambda **given: joint_squared_distances(X @ X.T, X @ X.T, **given)),
        ("floor", lambda **given: multiview_mutual_info_surrogate(code() + NOISE, **given)),
        ("floor", lambda **given: gaussian_mutual_info(X, torch.ones(D), **given)),
        ("clip", lambda clip: smile(X[:D], clip=-1 if clip == torch.inf else clip)),
        ("rate", lambda **given: DonskerVaradhan(**given)),
        ("bandwidth_factor", lambda **given: whitened_scores(X, **given)),
        ("bandwidth", lambda **given: stein_kernel(X, -X, **given)),
        ("shrinkage", lambda **given: whitening(X, **given)),
    ],
)
def test_what_is_no_number_of_the_right_size_is_named(
    name: str, function: Callable[..., Any], number: Any
) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        function(**{name: number})


@pytest.mark.parametrize("marginal", ["gaussian", "stein", "mixture"])
def test_negative_scales_are_refused(marginal: Any) -> None:
    scale = torch.tensor([0.5, -0.5])
    with pytest.raises(ValueError, match="scale must hold positive .*; got -0.5: apply"):
        stochastic_mutual_info_surrogate(code(), conditional=(code(), scale), marginal=marginal)
    with pytest.raises(ValueError, match="^scale must hold positive standard deviations; got -0.5"):
        gaussian_mutual_info(code(), scale)
