"""MutualInfoGradientEstimator: gradient of the mutual information of a parametric channel."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige.information import channel_gradient

from ._rows import check_samples, to_tensor
from ._ssge import RandomProjectionSSGE, SSGEScoreEstimator


class MutualInfoGradientEstimator(BaseEstimator):
    r"""Gradient of the mutual information I(x; y) of a parametric channel y = f(x, θ, ε).

    .. math:: \nabla_\theta I = -\mathbb{E}\big[(\nabla_y \log q(y) - \nabla_y \log q(x, y))^\top
              \nabla_\theta f(x, \theta, \varepsilon)\big]

    ``fit`` takes samples of x and draws samples of the noise ε. The derivatives of f come from
    automatic differentiation in torch.

    Parameters
    ----------
    family : callable, default=None
        Function ``family(x, theta, noise) -> y`` of float64 tensors. The function may use only
        operations that torch can differentiate twice. ``x`` has shape (n, n_features), and
        ``noise`` has shape (n, n_noise). The noise is standard normal. The result ``y`` must have n
        rows. None means the additive channel ``theta * x + noise``.
    theta : float or array-like of shape (n_parameters,), default=1.0
        Parameters at which the gradient is estimated.
    n_noise : int, default=None
        Dimension of the noise. None means the number of features of x, the only value that the
        default family accepts.
    margins : {"gaussian", None}, default="gaussian"
        Transformation of the marginal distributions, as in
        :func:`sk_mige.information.mutual_info_gradient`.
    score_estimator : SSGEScoreEstimator, default=None
        Score estimator, of which ``n_eigen``, ``eigen_threshold``, ``alpha``, ``bandwidth`` and
        ``kernel`` are used. None means :func:`sk_mige.information.whitened_scores`, with a
        bandwidth selected by a held-out loss.
    standard_error : {"jackknife", "batch"}, default="jackknife"
        Method for the standard error, as in :func:`sk_mige.information.mutual_info_gradient`.
    n_batches : int, default=10
        Number of batches for the standard error.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the noise. With an int, gradients at different θ use the same noise.

    Attributes
    ----------
    gradient_ : float or ndarray of shape (n_parameters,)
        Gradient dI/dθ in nats per unit of θ.
    standard_error_ : float or ndarray of shape (n_parameters,)
        Standard error of the gradient.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has feature names.

    See Also
    --------
    sk_mige.information.channel_gradient : Function that estimates the gradient of a channel.
    sk_mige.information.mutual_info_gradient : Gradient from samples and their derivatives.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020.

    Examples
    --------
    For the default channel and two independent standard normal features, I = log(1 + θ²). The
    derivative dI/dθ at θ = 1 is 1.

    >>> import numpy as np
    >>> from sk_mige import MutualInfoGradientEstimator
    >>> X = np.random.default_rng(0).standard_normal((500, 2))
    >>> channel = MutualInfoGradientEstimator(theta=1.0, random_state=0).fit(X)
    >>> bool(abs(channel.gradient_ - 1) < 3 * channel.standard_error_)
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "family": [callable, None],
        "theta": [Real, "array-like"],
        "n_noise": [Interval(Integral, 1, None, closed="left"), None],
        "margins": [StrOptions({"gaussian"}), None],
        "score_estimator": [SSGEScoreEstimator, None],
        "standard_error": [StrOptions({"jackknife", "batch"})],
        "n_batches": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        family: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        *,
        theta: float | ArrayLike = 1.0,
        n_noise: int | None = None,
        margins: str | None = "gaussian",
        score_estimator: BaseEstimator | None = None,
        standard_error: str = "jackknife",
        n_batches: int = 10,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.family = family
        self.theta = theta
        self.n_noise = n_noise
        self.margins = margins
        self.score_estimator = score_estimator
        self.standard_error = standard_error
        self.n_batches = n_batches
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Estimate the gradient at ``theta``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples of x, at least 4.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : MutualInfoGradientEstimator
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or the result of ``family`` is constant, not finite or of the wrong shape. The
            error is also raised if ``family`` is None and ``n_noise`` is not the number of
            features, or if ``score_estimator`` uses a projection.
        """
        X = check_samples(self, X, reset=True, min_rows=4)
        if self.family is None and self.n_noise not in (None, self.n_features_in_):
            raise ValueError(
                f"n_noise must be {self.n_features_in_} or None for the default family, which adds "
                f"noise to each of the {self.n_features_in_} features of X; got {self.n_noise}. "
                "Pass a family for noise of another dimension"
            )
        rows = to_tensor(X, torch.device("cpu")).to(torch.float64)
        options: dict[str, Any] = {}
        if self.score_estimator is not None:
            if isinstance(self.score_estimator, RandomProjectionSSGE):
                raise ValueError(
                    f"score_estimator must be an SSGEScoreEstimator without projection; got "
                    f"{self.score_estimator!r}"
                )
            options = {"score": self.score_estimator._training_score(), "joint": "coordinates"}
        self.gradient_, self.standard_error_ = channel_gradient(
            _additive if self.family is None else self.family,
            self.theta,
            rows.clone(),  # the family may write to its arguments
            n_noise=self.n_noise,
            random_state=int(check_random_state(self.random_state).randint(2**31 - 1)),
            margins=self.margins,
            standard_error=self.standard_error,
            n_batches=self.n_batches,
            **options,
        )
        return self


def _additive(x: Tensor, theta: Tensor, noise: Tensor) -> Tensor:
    return theta * x + noise
