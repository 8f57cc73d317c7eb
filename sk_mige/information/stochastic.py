"""Surrogate of I(x; z) for stochastic encoders z = E(x, ε), circumstance III of the MIGE paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from sk_mige._arrays import check_real
from sk_mige._contexts import is_readable, is_transformed
from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_choice
from sk_mige.information._tensors import (
    check_codes,
    check_score,
    expanded,
    expanded_scale,
    warn_of_swapped_axes,
)
from sk_mige.information.gaussian import gaussian_mutual_info
from sk_mige.information.gradients import centred_scores, mean_inner_product
from sk_mige.information.marginals import marginal_rows, marginal_scores, stein_rescaled
from sk_mige.score import ScoreFunction
from sk_mige.score.precision import full_precision

Conditional: TypeAlias = "tuple[Tensor, Tensor] | Distribution | Callable[[Tensor], Tensor]"
Marginal: TypeAlias = Literal[
    "auto", "gaussian", "whitened", "score", "stein", "mixture", "leave-one-out"
]

# Largest number of draws of each input without a warning about exchanged axes.
USUAL_DRAWS = 64


@full_precision
def stochastic_mutual_info_surrogate(
    z: Tensor,
    *,
    conditional: Conditional | None = None,
    marginal: Marginal = "auto",
    score: ScoreFunction | None = None,
) -> Tensor:
    r"""Scalar whose gradient estimates ∇I(x; z) for a stochastic encoder z = E(x, ε).

    .. math:: \nabla_\phi I(x; z) = \nabla_\phi H(z) - \nabla_\phi H(z \mid x)
              = -\mathbb{E}\big[(\nabla_z \log q(z) - \nabla_z \log q(z \mid x))^\top
                \nabla_\phi z\big]

    Parameters
    ----------
    z : tensor of shape (M, d) or (S, M, d)
        One or S reparameterised draws of z for each of M inputs, differentiable with respect to the
        parameters φ of the encoder.
    conditional : tuple (mean, scale), Distribution, callable or None, default=None
        Conditional distribution q(z | x). A pair of tensors (mean, standard deviation) describes a
        Gaussian with independent coordinates. Each tensor must be broadcastable to (M, d). A
        ``torch.distributions.Normal`` is equivalent to a pair (mean, standard deviation). Any other
        ``torch.distributions.Distribution``, or a callable ``log_prob(z)``, is differentiated at z.
        None means an implicit encoder, whose conditional score is estimated from the S draws of
        each x. The number S should be at least 16 and at least d.
    marginal : str, default="auto"
        Method for the gradient of the marginal entropy H(z), described in the Notes. The methods
        are "gaussian", "whitened", "score", "stein", "mixture" and "leave-one-out". The default
        "auto" selects "gaussian" for a Gaussian conditional. For other conditionals, "auto" selects
        "whitened" with at least 3 d samples, and "stein" with fewer samples.
    score : callable, default=None
        Score function of the marginal, for "score" and "stein", and of an implicit conditional.
        None means :func:`sk_mige.score.ssge`. The estimated scores are centred over the samples
        (:func:`entropy_surrogate`).

    Returns
    -------
    tensor of shape ()
        Surrogate of I(x; z), to be maximised. The gradient of the surrogate is in nats.

    Raises
    ------
    ValueError
        If an implicit conditional has a single draw, or ``marginal`` is unknown. The error is also
        raised if ``marginal`` requires a Gaussian conditional and ``conditional`` is not Gaussian.
        With ``marginal="gaussian"``, the error is also raised if z requires a gradient but mean and
        scale do not.

    Warns
    -----
    UserWarning
        If all draws of an implicit encoder are equal, so that z does not depend on the noise. Draws
        on a GPU are not compared, because the comparison would wait for the GPU.

    Notes
    -----
    If ∇H(z | x) is exact and the estimate of ∇H(z) is too small, the noise can grow without limit
    during training. SSGE scores from M samples in many more dimensions d are roughly M/d times the
    true scores. The methods for H(z) are:

    "gaussian"
        The bound :func:`gaussian_mutual_info`, differentiated through mean and scale without
        sampling noise of z. The gradient is exact for linear-Gaussian encoders of Gaussian inputs,
        up to sampling error. For other encoders, the method estimates the gradient of an upper
        bound of I. The number of dimensions may exceed the number of samples.
    "whitened"
        The scores of :func:`whitened_scores`, from a Gaussian plus a kernel correction that is
        regularised on held-out samples.
    "score"
        The estimated scores without rescaling, as published. With "score", the conditional scores
        are not rescaled either. Use "score" only if d is well below M and S.
    "stein"
        The estimated scores times the factor for which Stein's identity mean(ĝ·(z − z̄)) = −d holds
        in the batch.
    "mixture"
        The scores of the batch's mixture q(z) = Σ_m q(z | x_m)/M. The mixture is exact if the batch
        contains all data. The information of the mixture saturates at log M nats, where the
        gradient vanishes.
    "leave-one-out"
        The scores of the batch's mixture without the component that generated the sample. In many
        dimensions, the other components are often too far away for accurate scores.

    With few draws of each x, the estimated score of an implicit conditional is also too small.
    Except for ``marginal="score"``, the conditional score is rescaled to satisfy
    Stein's identity in each coordinate and for each x. With the rescaled score, the derivative of
    H(z | x) with respect to the log-scale of a coordinate is exact.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020, Eqs. 14-16.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import stochastic_mutual_info_surrogate
    >>> generator = torch.Generator().manual_seed(0)
    >>> mean = torch.randn(200, 2, generator=generator)
    >>> scale = torch.tensor(0.5, requires_grad=True)
    >>> z = mean + scale * torch.randn(200, 2, generator=generator)
    >>> stochastic_mutual_info_surrogate(z, conditional=(mean, scale)).backward()
    >>> float(scale.grad)  # I = log(1 + 1/scale**2): -2/(scale + scale**3) = -3.2
    -3.2
    """
    check_choice("marginal", marginal, get_args(Marginal))
    check_score(score)
    _check_draws(z)
    gaussian = _gaussian(conditional, z)
    rows = z if z.ndim == 2 else marginal_rows(z)
    if marginal == "auto":
        many = len(rows) >= 3 * z.shape[-1]
        marginal = "gaussian" if gaussian is not None else "whitened" if many else "stein"
    if marginal in ("gaussian", "mixture", "leave-one-out") and gaussian is None:
        raise ValueError(
            f"marginal={marginal!r} needs a Gaussian conditional=(mean, scale); got "
            f"{type(conditional).__name__}. Use marginal='score' or 'stein'"
        )
    if marginal == "gaussian":
        assert gaussian is not None
        if z.requires_grad and not any(part.requires_grad for part in gaussian):
            raise ValueError(
                "marginal='gaussian' differentiates the conditional's mean and scale, but both "
                "are detached; pass mean and scale without detach()"
            )
        return gaussian_mutual_info(*gaussian)
    check_codes(z=z.flatten(0, -2))
    if z.ndim == 3:
        warn_of_swapped_axes(z, "draws", USUAL_DRAWS)
    given_x = conditional_scores(z, conditional, score=score, rescale=marginal != "score")
    of_z = marginal_scores(rows, marginal, score=score, gaussian=gaussian)
    if z.ndim == 2:
        return -mean_inner_product(of_z - given_x, z)
    return mean_inner_product(given_x, z) - mean_inner_product(of_z, rows)


def conditional_scores(
    z: Tensor,
    conditional: Conditional | None = None,
    *,
    score: ScoreFunction | None = None,
    rescale: bool = True,
) -> Tensor:
    """Compute detached scores of the conditional q(z | x) at z.

    Parameters
    ----------
    z : tensor of shape (M, d) or (S, M, d)
        Draws of z.
    conditional : tuple (mean, scale), Distribution, callable or None, default=None
        Conditional distribution, as in :func:`stochastic_mutual_info_surrogate`.
    score : callable, default=None
        Score function of an implicit conditional, batched over x. None means
        :func:`sk_mige.score.ssge`. The estimated scores are centred over the draws of each x.
    rescale : bool, default=True
        Whether an estimated score is rescaled to satisfy Stein's identity in each coordinate.

    Returns
    -------
    tensor of the shape of z

    Raises
    ------
    ValueError
        If an implicit conditional has fewer than two draws of z for each x.

    Warns
    -----
    UserWarning
        If all draws of an implicit encoder are equal. Draws on a GPU are not compared.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import conditional_scores
    >>> conditional_scores(torch.ones(1, 2), (torch.zeros(1, 2), torch.tensor(2.0)))
    tensor([[-0.2500, -0.2500]])
    """
    check_score(score)
    _check_draws(z)
    points = z.detach()
    if conditional is None:
        if z.ndim != 3 or z.shape[0] < 2:
            raise ValueError(
                "an implicit conditional needs several draws of z for each x, shape (S, M, d) "
                f"with S >= 2; got shape {tuple(z.shape)}. Pass at least "
                "two draws, or the argument conditional"
            )
        if is_readable(points) and bool((points == points[0]).all()):
            warn_user(
                "all draws of z for each x are equal: z does not depend on the noise, and "
                "I(x; z) is unbounded. Make z depend on the noise, or use "
                "mutual_info_surrogate(x, z)"
            )
        draws = points.transpose(0, 1)
        scores = centred_scores(score, draws)
        if rescale:
            scores = stein_rescaled(scores, draws, per_coordinate=True)
        return scores.transpose(0, 1)
    gaussian = _gaussian(conditional, z)
    if gaussian is not None:
        mean, scale = (part.detach() for part in gaussian)
        return (mean - points) / scale.square()
    log_prob = conditional.log_prob if isinstance(conditional, Distribution) else conditional
    if not callable(log_prob) or isinstance(log_prob, type):
        raise TypeError(
            "conditional must be a pair (mean, scale), a distribution, a function log_prob(z) or "
            f"None; got {type(conditional).__name__}"
        )
    return _slopes(log_prob, points).detach()


def _slopes(log_prob: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Return the gradients of log-densities at the points, also in transforms of torch."""

    def total(at: Tensor) -> Tensor:
        densities = log_prob(at)
        if not isinstance(densities, torch.Tensor) or not densities.requires_grad:
            raise ValueError(
                "conditional must return a tensor of log-densities that depends on z through "
                "torch: use torch operations on z, without detach(), .item() or NumPy"
            )
        return densities.sum()

    if is_transformed():
        return torch.func.grad(total)(points)
    with torch.inference_mode(False), torch.enable_grad():
        points = points.clone().requires_grad_(True)
        try:
            return torch.autograd.grad(total(points), points)[0]
        except RuntimeError as error:
            if "Inference tensors" not in str(error):
                raise
            raise ValueError(
                "conditional has tensors of torch.inference_mode(), which have no derivatives: "
                "use torch.no_grad() instead"
            ) from error


def _check_draws(z: Tensor) -> None:
    """Raise ValueError unless z has the shape (M, d) or (S, M, d), without axes of length 0."""
    if check_real("z", z, floating=True).ndim not in (2, 3) or 0 in z.shape:
        raise ValueError(
            "z must have shape (M, d), or (S, M, d) for S draws of each input; got "
            f"{tuple(z.shape)}"
        )


def _gaussian(conditional: Conditional | None, z: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return means and scales (M, d) of a Gaussian with independent coordinates, else None."""
    if isinstance(conditional, Independent):
        conditional = conditional.base_dist
    if isinstance(conditional, Normal):
        conditional = conditional.loc, conditional.scale
    if not isinstance(conditional, tuple):
        return None
    if len(conditional) != 2:
        raise ValueError(
            f"conditional must be a pair (mean, scale); got a tuple of length {len(conditional)}"
        )
    shape = tuple(z.shape[-2:])
    mean = expanded("conditional's mean", conditional[0], shape)
    return mean, expanded_scale("conditional's scale", conditional[1], shape)
