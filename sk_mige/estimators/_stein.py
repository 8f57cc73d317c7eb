"""SteinScoreEstimator: Li and Turner's Stein gradient estimator."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from sk_mige.score import Kernel, ScoreSettings, fit_stein
from sk_mige.score.kernels import KERNELS, resolve_kernel

from ._rows import to_tensor
from ._score_base import BaseScoreEstimator, warn_of_dense_fit


class SteinScoreEstimator(BaseScoreEstimator):
    r"""Stein gradient estimator of the score by Li and Turner.

    The scores :math:`\hat G` at the samples X equal the scores of Tikhonov-regularised SSGE. With
    the Gram matrix K of the samples,

    .. math:: \hat G = \sigma^{-2} (K + \eta I)^{-1} \big(K X - \operatorname{diag}(K 1)\, X\big) .

    As in SSGE, a kernel expansion extends the scores from the samples to other points. The function
    :func:`sk_mige.score.fit_stein` computes the expansion.

    Parameters
    ----------
    eta : float, default=0.1
        Ridge η added to the Gram matrix K, whose diagonal is 1.
    bandwidth : "median" or float, default="median"
        Kernel width σ. The value "median" means the median pairwise distance of the samples. A
        number is in units of standard deviations if ``whiten=True``, and otherwise in the units of
        the data.
    whiten : bool, default=False
        Whether to whiten the data to unit covariance. The published estimator does not whiten.
    shrinkage : float in [0, 1] or "auto", default="auto"
        Shrinkage intensity of the covariance, used if ``whiten=True``.
    kernel : {"rbf", "imq", "matern", "multiscale"} or Kernel, default="rbf"
        Radial kernel, as in :class:`SSGEScoreEstimator`. For kernels other than "rbf", the slopes
        in :class:`SSGEScoreEstimator` replace K in :math:`K X - \operatorname{diag}(K 1)\, X`.
    device : str or torch.device, default="auto"
        Device of the computation.

    Attributes
    ----------
    bandwidth_ : float
        Kernel width σ.
    shrinkage_ : float
        Shrinkage intensity of the covariance, which is 1 if ``whiten=False``.
    mean_ : ndarray of shape (n_features,)
        Mean of the samples, without rows of extreme values.
    centers_ : ndarray of shape (n_samples, n_features)
        Samples.
    n_samples_seen_ : int
        Number of samples.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    SSGEScoreEstimator : SSGE with a regularisation strength chosen on held-out samples.

    References
    ----------
    Y. Li, R. E. Turner, "Gradient Estimators for Implicit Models", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import SteinScoreEstimator
    >>> X, Y = np.random.default_rng(0).normal(size=(2, 400, 2))
    >>> error = SteinScoreEstimator().fit(X).transform(Y) - (-Y)
    >>> bool(np.mean(error**2) < 0.2)
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "eta": [Interval(Real, 0, None, closed="neither")],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions({"median"})],
        "whiten": ["boolean"],
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "kernel": [StrOptions(set(KERNELS)), Kernel],
        "device": [str, torch.device],
    }

    def __init__(
        self,
        *,
        eta: float = 0.1,
        bandwidth: float | str = "median",
        whiten: bool = False,
        shrinkage: float | str = "auto",
        kernel: Kernel | str = "rbf",
        device: str | torch.device = "auto",
    ) -> None:
        self.eta = eta
        self.bandwidth = bandwidth
        self.whiten = whiten
        self.shrinkage = shrinkage
        self.kernel = kernel
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Fit to samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two. The estimator stores all samples. The time is O(n² d + n³).
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.

        Warns
        -----
        UserWarning
            If X has more than 20,000 rows, which need at least 16 GB of memory. Rows without a
            density cause the same warnings as in :meth:`SSGEScoreEstimator.fit`.
        """
        X = self._check_training(X)
        warn_of_dense_fit(X.shape[0])
        x = to_tensor(X, self._compute_device())
        self._check_scales(x)
        self._keep_model(fit_stein(x, self._settings(), float(self.eta)), X.shape[0])
        return self

    def _settings(self) -> ScoreSettings:
        return ScoreSettings(
            bandwidth=self.bandwidth,
            whiten=self.whiten,
            shrinkage=self.shrinkage,
            base=None,
            kernel=resolve_kernel(self.kernel),
        )
