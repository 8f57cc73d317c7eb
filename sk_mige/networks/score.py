"""Score network for sliced score matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sk_mige._sizes import as_size, as_sizes


class SlicedScore(NamedTuple):
    r"""Scores of a batch, and their derivatives along random directions.

    Attributes
    ----------
    score : Tensor of shape (n, d)
        Scores.
    curvature : Tensor of shape (n,)
        Mean of :math:`v^\top J v` over random directions v, where J is the Jacobian of the score.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import SlicedScore
    >>> SlicedScore(torch.zeros(4, 2), torch.zeros(4)).score.shape
    torch.Size([4, 2])
    """

    score: Tensor
    curvature: Tensor


class ScoreNetwork(nn.Module):
    r"""Score of a standard Gaussian plus a multilayer perceptron, :math:`s(x) = -x + f(x)`.

    In training mode, the forward pass returns scores and :math:`v^\top J_s(x) v` for random
    directions v with :math:`E[v v^\top] = I`. Each direction requires one backward pass, for any
    dimension d.

    Parameters
    ----------
    n_features : int
        Dimension d of the density.
    hidden_layer_sizes : sequence of int or int, default=(128, 128)
        Widths of the hidden layers. The activation of the hidden layers is SiLU, because the loss
        needs second derivatives.
    n_directions : int, default=1
        Number of random directions for each sample and step.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import ScoreNetwork
    >>> network = ScoreNetwork(3)
    >>> network(torch.zeros(5, 3)).curvature.shape
    torch.Size([5])
    >>> network.eval()(torch.zeros(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int] | int = (128, 128),
        n_directions: int = 1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = as_size("n_features", n_features)
        for size in as_sizes("hidden_layer_sizes", hidden_layer_sizes):
            layers += [nn.Linear(width, size), nn.SiLU()]
            width = size
        last = nn.Linear(width, n_features)
        nn.init.zeros_(last.weight)  # training starts from the Gaussian's score
        nn.init.zeros_(last.bias)
        self.body = nn.Sequential(*layers, last)
        self.n_directions = as_size("n_directions", n_directions)

    def score(self, x: Tensor) -> Tensor:
        """Return scores (n, d) at points (n, d)."""
        return self.body(x) - x

    def divergence(self, metric: Tensor) -> Callable[[Tensor], Tensor]:
        r"""Return the function that maps points (n, d) to :math:`\operatorname{tr}(P J_s(x))` (n,).

        With L hidden layers, the Jacobian of f is :math:`W_{L+1} D_L W_L \cdots D_1 W_1`. The
        slopes of layer l are the diagonal of :math:`D_l`. The trace of :math:`P J_f` is that of
        :math:`D_L W_L \cdots D_1 A` with :math:`A = W_1 P W_{L+1}`. The size of A does not depend
        on the dimension d. Computations are in float64.

        Parameters
        ----------
        metric : Tensor of shape (d, d)
            Symmetric matrix P in float64.

        Returns
        -------
        callable
            Function of points, with values of shape (n,).
        """
        layers = [layer for layer in self.body if isinstance(layer, nn.Linear)]
        weights = [layer.weight.detach().double() for layer in layers]
        biases = [layer.bias.detach().double() for layer in layers]
        if len(layers) == 1:
            constant = (weights[0] * metric).sum() - metric.trace()
            return lambda x: constant.expand(len(x))
        around, trace = weights[0] @ metric @ weights[-1], metric.trace()

        def divergence(x: Tensor) -> Tensor:
            x, slopes = x.double(), []
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                x = x @ weight.mT + bias
                gate = x.sigmoid()
                slopes.append(gate * (1 + x * (1 - gate)))  # derivative of SiLU
                x = x * gate
            *slopes, outer = slopes
            if not slopes:
                return outer @ around.diagonal() - trace
            # For two hidden layers, the product is the same for all rows.
            product = around
            for weight, slope in zip(weights[1:-2], slopes, strict=False):
                product = weight @ (slope[:, :, None] * product)
            product = (weights[-2] * product.mT).mT
            return (outer * (slopes[-1][:, None] @ product)[:, 0]).sum(1) - trace

        return divergence

    def forward(self, x: Tensor) -> Tensor | SlicedScore:
        """Return scores and, in training, the curvature along random directions."""
        if not self.training:
            return self.score(x)
        x = x.detach()
        made: Any = torch.func.vjp(self.score, x)
        scores, pull = made
        curvature = x.new_zeros(len(x))
        for _ in range(self.n_directions):
            # Rademacher directions minimise the variance among directions with unit covariance.
            v = torch.randint(0, 2, x.shape, device=x.device).to(x) * 2 - 1
            (pulled,) = pull(v)
            curvature = curvature + (pulled * v).sum(1) / self.n_directions
        return SlicedScore(scores, curvature)
