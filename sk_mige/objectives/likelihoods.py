"""Negative log-likelihoods of the decoder's predictions, for classes and for real values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from sk_mige._sizes import as_number, as_size


class ClassLikelihood(nn.Module):
    r"""Cross-entropy of logits and class indices in nats, with optional regularisers.

    .. math:: -\mathbb{E}\Big[\sum_c t_c \log p(c \mid z)\Big] - \lambda\, H(p(\cdot \mid z)),
              \qquad t_c = (1 - s) [c = y] + s / C

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class. None means a weight of 1 for each class.
    label_smoothing : float, default=0.0
        Fraction s of each target that is spread over all classes. If ``weight`` is given, the term
        :math:`t_c \log p(c \mid z)` of each class c is weighted, as in torch's ``cross_entropy``.
    confidence_penalty : float, default=0.0
        Weight λ of the entropy H of the predicted probabilities [1]_. Class weights do not apply to
        H.

    References
    ----------
    .. [1] G. Pereyra, G. Tucker, J. Chorowski, Ł. Kaiser, G. Hinton, "Regularizing neural networks
       by penalizing confident output distributions", 2017, arXiv:1701.06548.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives import ClassLikelihood
    >>> ClassLikelihood()(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor(1.3863)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        confidence_penalty: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.label_smoothing = as_number("label_smoothing", label_smoothing, 0, 1, "left")
        self.confidence_penalty = as_number("confidence_penalty", confidence_penalty, closed="left")

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss over rows, for indices y (M,) and logits (M, C) or (S, M, C)."""
        y = y.expand(logits.shape[:-1]).flatten()
        logits = logits.flatten(0, -2)
        loss = cross_entropy(logits, y, self.weight, label_smoothing=self.label_smoothing)
        if self.confidence_penalty > 0:
            log_p = logits.log_softmax(-1)
            entropy = -(log_p.exp() * log_p).sum(-1).mean()
            loss = loss - self.confidence_penalty * entropy
        return loss


class GaussianLikelihood(nn.Module):
    r"""Negative log-likelihood of a Gaussian with one variance for each target.

    .. math:: \frac{(y - \hat y)^2}{2 v} + \frac12 \log 2 \pi v,
              \qquad v = \mathrm{softplus}(\rho) + 10^{-4}

    Targets should have variance 1. The lower limit of v keeps the loss finite if a network fits
    the training data exactly.

    Parameters
    ----------
    n_targets : int
        Number of targets.
    learned : bool, default=True
        Whether ρ is learned. If False, v is the mean squared error of the batch plus
        :math:`10^{-4}`. A bottleneck with a range of weights β needs a variance for each batch,
        because the optimal v depends on β.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives import GaussianLikelihood
    >>> likelihood = GaussianLikelihood(1)  # starts at variance 1: ½ log 2π
    >>> likelihood(torch.zeros(3, 1), torch.zeros(3, 1)).detach().round(decimals=3)
    tensor(0.9190)
    """

    def __init__(self, n_targets: int, *, learned: bool = True) -> None:
        super().__init__()
        start = torch.full((as_size("n_targets", n_targets),), 0.5413)  # softplus⁻¹(1)
        self.rho = nn.Parameter(start) if learned else None

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the loss in nats, summed over targets and averaged over rows."""
        errors = (prediction - y).square()
        # At v = mean squared error, the derivative of the loss with respect to v is 0.
        free = errors.detach().flatten(0, -2).mean(0) if self.rho is None else softplus(self.rho)
        variance = free + 1e-4
        constant = torch.log(2 * torch.pi * variance)
        return 0.5 * (errors / variance + constant).sum(-1).mean()
