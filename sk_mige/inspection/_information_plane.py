"""InformationPlaneDisplay: information about x and about y in bottleneck representations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import entropy
from sklearn.utils import check_consistent_length, column_or_1d, gen_batches
from torch import Tensor

from sk_mige._sizes import as_size
from sk_mige.networks import evaluate
from sk_mige.networks.marginal import code_moments

from ._display import Axes, Display, is_missing, last_step, require

N_DRAWS = 16  # draws of z for I(y; z)
# Number of elements of the largest array of a chunk: 32 MiB in float64.
CHUNK_VALUES = 2**22
# I(x; z) is estimated from at most MAX_ROWS rows, because the time is quadratic. I(y; z) is
# computed in chunks of PART_ROWS rows.
MAX_ROWS, PART_ROWS = 10_000, 1_024


@dataclass(kw_only=True, eq=False, repr=False)
class InformationPlaneDisplay(Display):
    r"""Information plane: plot of I(y; z) against I(x; z), with a point for each encoder.

    I(x; z) and I(y; z) are estimated by lower bounds in nats, from n held-out rows:

    .. math:: I(x; z) \ge \frac1n \sum_i \mathbb{E}_{z_i} \log
              \frac{q(z_i | x_i)}{\frac1n \sum_j q(z_i | x_j)}, \qquad
              I(y; z) \ge H(y) + \frac1n \sum_i \mathbb{E}_{z_i} \log p(y_i | z_i)

    The bound of I(x; z) cannot exceed :math:`\log n`. If the bound of I(x; z) is close to
    :math:`\log n`, pass more rows. With more than 10,000 rows, I(x; z) is estimated from 10,000
    drawn rows, and the bound cannot exceed 9.2 nats. The bound of I(y; z) depends on the decoder,
    and a better decoder can give a larger bound. Create the display with :meth:`from_estimators` or
    :meth:`from_estimator`, or from given values with the constructor and :meth:`plot`.

    Parameters
    ----------
    information_x : ndarray of shape (n_encoders,)
        I(x; z) in nats.
    information_y : ndarray of shape (n_encoders,)
        I(y; z) in nats.
    labels : sequence of str, default=None
        Label of each point.
    entropy_y : float, default=None
        Entropy H(y) in nats, an upper bound of I(y; z).

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    line_ : matplotlib.lines.Line2D
        Points, in the given order.
    texts_ : list of matplotlib.text.Annotation
        Labels of the points.
    limit_ : matplotlib.lines.Line2D or None
        Line at H(y), or None if ``entropy_y`` is None.

    Examples
    --------
    >>> from sklearn.base import clone
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.inspection import InformationPlaneDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(8, mode="ib", max_epochs=3, random_state=0)
    >>> encoders = [
    ...     clone(encoder).set_params(mode__beta=beta).fit(X[:900], y[:900])
    ...     for beta in (1e-3, 0.3)
    ... ]
    >>> display = InformationPlaneDisplay.from_estimators(encoders, X[900:], y[900:])
    >>> bool(display.information_x[1] < display.information_x[0])
    True
    """

    information_x: NDArray[Any]
    information_y: NDArray[Any]
    labels: Sequence[str] | None = None
    entropy_y: float | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, ax: Axes | None = None, **plot_kw: Any
    ) -> Self:
        """Draw one fitted bottleneck.

        Parameters
        ----------
        estimator : MIGEEncoder
            Fitted classifier, as for :meth:`from_estimators`.
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        y : array-like of shape (n_samples,)
            Classes of the rows.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **plot_kw
            Keyword arguments of :meth:`from_estimators`.

        Returns
        -------
        InformationPlaneDisplay
        """
        return cls.from_estimators([estimator], X, y, ax=ax, **plot_kw)

    @classmethod
    def from_estimators(
        cls,
        estimators: Sequence[Any],
        X: Any,
        y: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        random_state: int = 0,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw several fitted bottlenecks.

        Parameters
        ----------
        estimators : sequence of MIGEEncoder
            Fitted classifiers with ``mode="ib"`` and a Gaussian head, or fitted pipelines and
            searches that end in such a classifier. I(x; z) is infinite for a deterministic head,
            and q(z | x) is unknown for an implicit head.
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        y : array-like of shape (n_samples,)
            Classes of the rows. The training data must contain all classes in ``y``.
        labels : sequence of str, default=None
            Label of each point. None means ``beta_`` of the encoder, the weight β at the end of
            training.
        random_state : int, default=0
            Seed of the draws of z.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot``.

        Returns
        -------
        InformationPlaneDisplay
        """
        if hasattr(estimators, "fit"):
            raise TypeError(
                f"estimators must be a sequence of encoders, got {type(estimators).__name__}: pass "
                "[estimator], or use from_estimator"
            )
        target = column_or_1d(y)
        if is_missing(target).any():
            raise ValueError("y has missing labels; pass labelled rows only")
        entropy_y = float(entropy(np.unique(target, return_counts=True)[1]))
        about_x, about_y, betas = [], [], []
        for estimator in estimators:
            encoder, rows = last_step(estimator, X)
            _check_bottleneck(encoder, target)
            check_consistent_length(rows, target)
            # transform validates the rows and accepts GPU tensors, which validate_data rejects.
            encoder.transform(rows)
            rows = rows.detach() if isinstance(rows, Tensor) else np.asarray(rows)
            about_x.append(_information_about_x(encoder, rows, random_state))
            about_y.append(entropy_y + _log_likelihood(encoder, rows, target, random_state))
            betas.append(encoder.beta_)
        names = [f"β = {beta:g}" for beta in betas] if labels is None else list(labels)
        display = cls(
            information_x=np.array(about_x),
            information_y=np.array(about_y),
            labels=names,
            entropy_y=entropy_y,
        )
        return display.plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot``.

        Returns
        -------
        InformationPlaneDisplay
            This display.
        """
        points = list(zip(self.information_x, self.information_y, strict=True))
        labels = [] if self.labels is None else self.labels
        if self.labels is not None and len(labels) != len(points):
            raise ValueError(
                f"labels has {len(labels)} labels for {len(points)} points: pass one label "
                "for each point"
            )
        ax = self._set_axes(ax)
        style = {"marker": "o", "linewidth": 1, **line_kw}
        (self.line_,) = ax.plot(self.information_x, self.information_y, **style)
        self.texts_ = [
            ax.annotate(label, point, xytext=(5, -11), textcoords="offset points", fontsize="small")
            for label, point in zip(labels, points, strict=False)
        ]
        if self.texts_:
            ax.margins(0.2)  # room for the labels of the outermost points
        self.limit_ = None
        if self.entropy_y is not None:
            self.limit_ = ax.axhline(self.entropy_y, color="0.5", linestyle=":", label="H(y)")
            ax.legend(frameon=False, loc="lower right")
        ax.set(xlabel="I(x; z)  (nats)", ylabel="I(y; z)  (nats)")
        return self


def _check_bottleneck(encoder: Any, target: NDArray[Any]) -> None:
    """Raise an error for encoders or classes that the information plane cannot show."""
    require(encoder, "module_", "a MIGEEncoder, or a pipeline or search that ends in one")
    needs = "estimator must be a classifier with mode='ib' and head='gaussian': "
    head = getattr(encoder.module_, "head", None)
    if not getattr(head, "stochastic", False):
        raise ValueError(needs + "got a deterministic encoder, for which I(x; z) is infinite")
    if not getattr(head, "closed_form", False):
        raise ValueError(
            needs + f"got {type(head).__name__}, for which the density q(z | x) is unknown"
        )
    if encoder.task_ != "classification":
        raise ValueError(
            needs + f"got task={encoder.task_!r}. If y holds classes, fit the encoder with "
            "mode=InformationBottleneck(task='classification')"
        )
    known = encoder.classes_.tolist()
    unseen = set(target.tolist()) - set(known)
    if unseen:
        raise ValueError(
            f"y has the classes {sorted(unseen, key=str)}, which fit did not receive: pass rows "
            f"of the classes {known}"
        )


def _information_about_x(encoder: Any, rows: NDArray[Any] | Tensor, seed: int) -> float:
    """Return a lower bound of I(x; z), from one draw of z for each row.

    The marginal density of z is the mixture of the conditional densities of all rows.
    """
    rows = rows[np.sort(np.random.RandomState(seed).permutation(len(rows))[:MAX_ROWS])]
    values = evaluate(encoder.module_, partial(code_moments, encoder.module_), rows)
    mean, scale = torch.from_numpy(values).double().unbind(1)
    noise = _noise(*mean.shape, seed=seed).double()
    total = 0.0
    for part in torch.split(torch.arange(len(mean)), max(1, CHUNK_VALUES // mean.numel())):
        # log q(z_i | x_j), without the constant that is the same for all i and j.
        deviation = (mean[part] + scale[part] * noise[part])[:, None] - mean
        log_q = -(0.5 * (deviation / scale).square() + scale.log()).sum(-1)
        own = log_q[torch.arange(len(part)), part]
        total += float((own - log_q.logsumexp(1)).sum())
    return total / len(mean) + float(np.log(len(mean)))


def _log_likelihood(
    encoder: Any, rows: NDArray[Any] | Tensor, target: NDArray[Any], seed: int
) -> float:
    """Return the mean of log p(y | z) over rows and draws of z.

    The logarithm is taken before the mean over draws. The logarithm of the mean over draws would
    measure information in several draws of z together.
    """
    module = encoder.module_
    noise = _noise(N_DRAWS, module.head.n_components, seed=seed)

    def log_p(x: Tensor) -> Tensor:
        logits: Tensor = module.predictions(x, noise.to(x.device))
        return logits.double().log_softmax(-1).mean(0)

    indices, total = np.searchsorted(encoder.classes_, target), 0.0
    for part in gen_batches(len(rows), PART_ROWS):
        own = indices[part]
        total += float(evaluate(module, log_p, rows[part])[np.arange(len(own)), own].sum())
    return total / len(rows)


def _noise(*shape: int, seed: int) -> Tensor:
    """Return standard normal numbers that are the same for every device of the encoder."""
    generator = torch.Generator().manual_seed(as_size("random_state", seed, 0))
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
