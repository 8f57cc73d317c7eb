"""Critics: networks T(x, y) that score all pairs of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sk_mige._arrays import check_real
from sk_mige._sizes import as_number, as_size, as_sizes
from sk_mige.information.bounds import BoundEstimate


class SeparableCritic(nn.Module):
    r"""Critic :math:`T(x, y) = f(x)^\top g(y)`, the inner product of two embeddings.

    With a temperature τ, the critic is the scaled cosine of the angle between the embeddings:

    .. math:: T(x, y) = \frac{f(x)^\top g(y)}{\tau\, \lVert f(x) \rVert\, \lVert g(y) \rVert} .

    The absolute value is then at most 1/τ. With f = g, the InfoNCE bound between two views of
    an image is a contrastive loss similar to the loss of SimCLR [1]_.

    Parameters
    ----------
    n_features_x, n_features_y : int
        Dimensions of x and y after flattening.
    hidden : sequence of int or int, default=(512,)
        Widths of the hidden ReLU layers of f and of g.
    n_embedding : int, default=32
        Dimension of the embeddings.
    temperature : float, default=None
        Temperature τ of the cosine. If None, the critic is the inner product.
    shared : bool, default=False
        Whether f and g are the same network, for example for two views of one input. With
        ``shared=True``, the dimensions of x and y must be equal.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive
       Learning of Visual Representations", ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import SeparableCritic
    >>> SeparableCritic(3, 2)(torch.zeros(5, 3), torch.zeros(5, 2)).shape
    torch.Size([5, 5])
    """

    def __init__(
        self,
        n_features_x: int,
        n_features_y: int,
        hidden: Sequence[int] | int = (512,),
        n_embedding: int = 32,
        *,
        temperature: float | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if temperature is not None:
            temperature = as_number("temperature", temperature)
        if shared and n_features_x != n_features_y:
            raise ValueError(
                "shared=True needs x and y of equal dimension; got "
                f"n_features_x={n_features_x} and n_features_y={n_features_y}: use shared=False"
            )
        self.temperature = temperature
        width_x, width_y = _widths(n_features_x, n_features_y)
        n_embedding = as_size("n_embedding", n_embedding)
        self.embed_x = relu_network(width_x, hidden, n_embedding)
        self.embed_y = self.embed_x if shared else relu_network(width_y, hidden, n_embedding)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the matrix (M, N) of T(x_i, y_j)."""
        f, g = self.embed_x(_flat("x", x)), self.embed_y(_flat("y", y))
        if self.temperature is not None:
            f, g = normalize(f, dim=1) / self.temperature, normalize(g, dim=1)
        return f @ g.mT


class ConcatenatedCritic(nn.Module):
    r"""Critic :math:`T(x, y) = f([x, y])`, a network of the concatenated pairs.

    A batch of M samples needs M² evaluations of f.

    Parameters
    ----------
    n_features_x, n_features_y : int
        Dimensions of x and y after flattening.
    hidden : sequence of int or int, default=(512,)
        Widths of the hidden ReLU layers, at least one.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import ConcatenatedCritic
    >>> ConcatenatedCritic(3, 2)(torch.zeros(5, 3), torch.zeros(5, 2)).shape
    torch.Size([5, 5])
    """

    def __init__(
        self, n_features_x: int, n_features_y: int, hidden: Sequence[int] | int = (512,)
    ) -> None:
        super().__init__()
        widths = as_sizes("hidden", hidden)
        if not widths:
            raise ValueError("hidden must contain at least one width; got none")
        width_x, width_y = _widths(n_features_x, n_features_y)
        # The first layer is the sum of a function of x and a function of y.
        self.first_x = nn.Linear(width_x, widths[0])
        self.first_y = nn.Linear(width_y, widths[0], bias=False)
        self.rest = relu_network(widths[0], widths[1:], 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the matrix (M, N) of T(x_i, y_j)."""
        pairs = self.first_x(_flat("x", x))[:, None] + self.first_y(_flat("y", y))[None]
        return self.rest(pairs.relu()).squeeze(-1)


class GaussianCritic(nn.Module):
    r"""Critic :math:`T(x, y) = \log q(y \mid x)`, where q is a Gaussian density.

    The network computes mean and variance of each coordinate of y from x. The CLUB bound needs a
    critic that is a conditional density, trained by maximum likelihood.

    Parameters
    ----------
    n_features_x, n_features_y : int
        Dimensions of x and y after flattening.
    hidden : sequence of int or int, default=(512,)
        Widths of the hidden ReLU layers.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import GaussianCritic
    >>> GaussianCritic(3, 2)(torch.zeros(5, 3), torch.zeros(5, 2)).shape
    torch.Size([5, 5])
    """

    def __init__(
        self, n_features_x: int, n_features_y: int, hidden: Sequence[int] | int = (512,)
    ) -> None:
        super().__init__()
        width_x, width_y = _widths(n_features_x, n_features_y)
        self.network = relu_network(width_x, hidden, 2 * width_y)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the matrix (M, N) of log q(y_j | x_i), in nats."""
        mean, raw = self.network(_flat("x", x)).chunk(2, dim=1)
        # With a bounded log-variance, a single outlier cannot dominate the likelihood.
        log_variance = 10 * torch.tanh(raw / 10)
        y = _flat("y", y)
        # For small variances and large means, the terms of the expanded square below can be 10⁶
        # times larger than their difference. Centring and float64 preserve the precision.
        center = y.detach().mean(0)
        mean, log_variance, y = (
            part if part.device.type == "mps" else part.double()
            for part in (mean - center, log_variance, y - center)
        )
        precision = (-log_variance).exp()
        distance = precision @ y.square().mT - 2 * (precision * mean) @ y.mT
        norm = (precision * mean.square() + log_variance + math.log(2 * math.pi)).sum(-1)
        log_density: Tensor = -0.5 * (distance + norm[:, None])
        return log_density.to(torch.promote_types(raw.dtype, torch.float32))


def fit_critic(
    critic: nn.Module,
    bound: Callable[[Tensor], BoundEstimate],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    learning_rate: float = 1e-4,
) -> nn.Module:
    """Train a critic with Adam to maximise the critic objective of a bound.

    Parameters
    ----------
    critic : Module
        Critic to train in place. The call ``critic(x, y)`` must return the matrix of scores.
    bound : callable
        Function ``bound(scores) -> BoundEstimate``, such as the result of :func:`make_bound`.
    batches : iterable of (x, y)
        Batches of pairs. Each batch is one step of the optimiser.
    learning_rate : float, default=1e-4
        Learning rate of Adam.

    Returns
    -------
    Module
        The trained ``critic``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import SeparableCritic, fit_critic, make_bound
    >>> pairs = [(torch.zeros(8, 2), torch.zeros(8, 2))] * 3
    >>> critic = fit_critic(SeparableCritic(2, 2), make_bound("infonce"), pairs)
    """
    if not isinstance(critic, nn.Module):
        raise TypeError(f"critic must be a torch.nn.Module, got {critic!r:.80}")
    if not callable(bound):
        raise TypeError(
            f"bound must be a function, such as the result of make_bound, got {bound!r:.80}"
        )
    rate = as_number("learning_rate", learning_rate)
    optimizer = torch.optim.Adam(critic.parameters(), lr=rate)
    with torch.inference_mode(False), torch.enable_grad():
        for x, y in batches:
            optimizer.zero_grad()
            pair = {"x": x, "y": y}
            # Tensors are copied, because autograd refuses tensors of inference mode.
            scores = critic(*(check_real(*part, floating=True).clone() for part in pair.items()))
            (-bound(scores).critic_objective).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return critic


def _widths(n_features_x: int, n_features_y: int) -> tuple[int, int]:
    return as_size("n_features_x", n_features_x), as_size("n_features_y", n_features_y)


def _flat(name: str, samples: Tensor) -> Tensor:
    """Return samples as rows (M, d)."""
    return check_real(name, samples, floating=True).flatten(1)


def relu_network(n_in: int, hidden: Sequence[int] | int, n_out: int) -> nn.Sequential:
    """Return ReLU layers of the given widths, followed by a linear layer."""
    layers: list[nn.Module] = []
    for width in as_sizes("hidden", hidden):
        layers += [nn.Linear(n_in, width), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, n_out))
