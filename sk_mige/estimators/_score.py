"""SSGEScoreEstimator: the score of an unknown density from its samples."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from sk_mige.score import ScoreFit, ScoreSettings, fit_dense

from ._rows import (
    check_samples,
    check_varies,
    is_dask,
    like_input,
    row_chunks,
    to_tensor,
    warn_of_outliers,
)
from ._score_base import BaseScoreEstimator
from ._score_streaming import StreamingMixin
from ._score_training import BatchScoreMixin

__all__ = ["SSGEScoreEstimator"]


class SSGEScoreEstimator(StreamingMixin, BatchScoreMixin, BaseScoreEstimator):
    r"""Estimate the score :math:`\nabla_x \log q(x)` of a density from its samples.

    The Spectral Stein Gradient Estimator [1]_ as what it is, least-squares score matching over
    kernel sections, with a whitening in front, an elliptical density underneath and its strength
    of regularisation chosen on held-out samples:

    .. math:: \hat g(x) = W\big[-w(\|y\|^2)\, y\big] + \sum_m k(y, y_m)\, C_m,
              \qquad y = W (x - \mu), \quad k(y, y') = e^{-\|y - y'\|^2 / 2\sigma^2} .

    With K the Gram matrix of the samples, :math:`K = U \Lambda U^\top`, and
    :math:`G = K Y - \operatorname{diag}(K 1) Y`, the coefficients without base and whitening are

    .. math:: C = \sigma^{-2}\, U\, \Lambda^{-1} h(\Lambda)\, U^\top G,
              \qquad h(\lambda) = \frac{1[\lambda \text{ kept}]}{\lambda + n \alpha} .

    **The published estimator** is ``SSGEScoreEstimator(eigen_threshold=0.99, whiten=False,
    base=None)``. The paper of MIGE [3]_ uses a threshold of 0.94 in its bottleneck.

    Parameters
    ----------
    n_eigen : int, default=None
        Number J of leading eigenpairs; the rest is cut off. Takes precedence over
        ``eigen_threshold``.
    eigen_threshold : float in (0, 1], default=None
        Keep the smallest number of eigenpairs whose eigenvalues reach this fraction of the
        spectrum's sum. ``None``, with ``n_eigen=None``, cuts nothing off and leaves the
        regularisation to ``alpha``.
    alpha : float or "auto", default="auto"
        Strength of Tikhonov's regularisation, relative to the kernel operator, whose trace is 1.
        "auto" chooses it, the base alone included, by Hyvärinen's loss [2]_ on three folds,
        whitening and base refitted in each, the bandwidth that of all samples; where a cutoff is
        asked for it is 0. ``inf`` leaves the base alone. The loss is that of features in units of
        their standard deviations, so that none of them decides by its unit; without whitening, or
        of fewer samples than features, that of features as they are.
    bandwidth : "median" or float, default="median"
        Kernel width σ: the median distance between samples (of the fit, never of the queries), or
        a number in units of the coordinates that the kernel sees, which are standard deviations
        when ``whiten=True`` and the data's own otherwise.
    whiten : bool, default=True
        Estimate in coordinates of unit covariance and map the score back, so that neither scales
        nor correlations matter to an estimate of given strength.
    shrinkage : float in [0, 1], "auto" or "ledoit-wolf", default="auto"
        Shrinkage of the covariance towards a multiple of the identity. 0 is exactly equivariant
        under affine maps and needs some three samples a feature; 1 is spherical. "auto"
        maximises the leave-one-out Gaussian likelihood.
    base : {"student", "gaussian"} or None, default="student"
        Elliptical score that the kernel expansion corrects, and falls back on where there are no
        samples. "student" chooses degrees of freedom between 3 and infinity; ``None`` falls back
        on zero, as published.
    curl_free : bool, default=False
        Expand the log-density instead of the score: the correction is then a gradient, with one
        coefficient a sample instead of d, which needs fewer samples in few dimensions and costs
        a second eigendecomposition.
    n_landmarks : int, "auto" or None, default="auto"
        Number of samples that serve as centres of the kernel. Time then grows linearly in the
        number of rows and memory not at all. "auto" takes all rows up to 4,000 and 1,000 of them
        beyond, with a message; ``None`` takes all, whatever it costs.
    landmark_selection : {"random", "kmeans++", "leverage"}, default="random"
        How landmarks are chosen among the rows.
    device : str or torch.device, default="auto"
        Where to compute: "auto" is CUDA if there is a GPU, else the CPU. MPS has no float64 and
        is refused here.
    random_state : int, RandomState instance or None, default=None
        Choice of landmarks. Beyond some ten thousand rows whitening, base and bandwidth come from
        a sample of the rows, which it draws as well; nothing else is random.

    Attributes
    ----------
    bandwidth_ : float
        Kernel width σ.
    alpha_ : float
        Tikhonov strength; infinite where only the base is left.
    eigenvalues_ : ndarray of shape (r,)
        Spectrum of the kernel operator, descending, as fractions of its sum.
    n_eigen_ : int
        Number of eigenpairs used.
    shrinkage_ : float
        Intensity of the covariance's shrinkage; 1 when ``whiten=False``.
    degrees_of_freedom_ : float or None
        Of the base: infinite for a Gaussian, None without one.
    mean_ : ndarray of shape (n_features,)
        Mean μ of the samples.
    centers_ : ndarray of shape (n_centers, n_features)
        Centres of the kernel in input coordinates: all samples, or the landmarks, which are rows
        of the data as well. Nothing else of the data is kept.
    n_samples_seen_ : int
        Number of rows that the fit rests on.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had them.

    See Also
    --------
    SSGEScoreEstimatorCV : Chooses bandwidth, regularisation, base and whitening by
        cross-validation.
    RandomProjectionSSGE : Kernel distances from a random projection.
    sk_mige.score.ssge : The published estimator on tensors, batched.

    Notes
    -----
    n samples of d features cost O(n² d + n³), m landmarks O(n m (m + d) + m³). No array of shape
    (n, n, d) is formed. For n ≤ d everything happens in the span of the samples, at the price of
    two products of size n² d. Eigendecompositions run in float64.

    Of n > d samples, directions along which they do not vary, to the rounding of their values and
    whatever their units, have no density: constant columns, and sums of others. The score is
    estimated in the plane of the rest, and is 0 across it, also at points off the plane. Columns
    of classes or counts have no density either, but vary: leave them out. Missing values are
    refused: drop or impute them. Of a stream the first batch decides which directions vary.

    References
    ----------
    .. [1] J. Shi, S. Sun, J. Zhu, "A Spectral Approach to Gradient Estimation for Implicit
       Distributions", ICML 2018.
    .. [2] A. Hyvärinen, "Estimation of Non-Normalized Statistical Models by Score Matching",
       JMLR 6, 2005.
    .. [3] L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
       Representation Learning", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import SSGEScoreEstimator
    >>> X = np.random.default_rng(0).normal(5.0, 2.0, size=(500, 3))
    >>> estimator = SSGEScoreEstimator().fit(X)
    >>> point = np.array([[7.0, 5.0, 1.0]])
    >>> estimator.transform(point).round(1)  # the truth is -(x - 5) / 4
    array([[-0.5, -0. ,  1. ]])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_eigen": [Interval(Integral, 1, None, closed="left"), None],
        "eigen_threshold": [Interval(Real, 0, 1, closed="right"), None],
        "alpha": [Interval(Real, 0, None, closed="both"), StrOptions({"auto"})],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions({"median"})],
        "whiten": ["boolean"],
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto", "ledoit-wolf"})],
        "base": [StrOptions({"student", "gaussian"}), None],
        "curl_free": ["boolean"],
        "n_landmarks": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "landmark_selection": [StrOptions({"random", "kmeans++", "leverage"})],
        "device": [str, torch.device],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        n_eigen: int | None = None,
        eigen_threshold: float | None = None,
        alpha: float | str = "auto",
        bandwidth: float | str = "median",
        whiten: bool = True,
        shrinkage: float | str = "auto",
        base: str | None = "student",
        curl_free: bool = False,
        n_landmarks: int | str | None = "auto",
        landmark_selection: str = "random",
        device: str | torch.device = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_eigen = n_eigen
        self.eigen_threshold = eigen_threshold
        self.alpha = alpha
        self.bandwidth = bandwidth
        self.whiten = whiten
        self.shrinkage = shrinkage
        self.base = base
        self.curl_free = curl_free
        self.n_landmarks = n_landmarks
        self.landmark_selection = landmark_selection
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Fit to samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two. A dask array is summed chunk by chunk on its scheduler, one
            task a chunk.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X has fewer than two rows, values that are not finite, or equal rows only, or if
            there are fewer rows than landmarks.
        """
        if is_dask(X):
            self._accumulator = None
            return self._fit_dask(X)
        self._fit(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: None = None) -> Any:
        """Fit to samples and estimate the scores at them.

        Cheaper than ``fit(X).transform(X)``, and the same: the kernel between the samples is
        known from the fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Scores in input coordinates, in the dtype of X.
        """
        if is_dask(X):
            return self.fit(X).transform(X)
        X, fit = self._fit(X)
        if fit.gram is None:
            return self._by_chunks(self._model.score, X, X.shape)
        return like_input(fit.scores(to_tensor(X, fit.gram.device)), X)

    def _fit(self, X: Any) -> tuple[Any, ScoreFit]:
        """Checked samples, and the fit whose attributes have been set."""
        self._accumulator = None
        X = check_samples(self, X, reset=True, min_rows=2)
        check_varies(X, "they have no density and no score")
        self._check_landmarks(X.shape[0])
        rng = check_random_state(self.random_state)
        device = self._compute_device()
        n_centers = self._n_centers(X.shape[0])
        if n_centers is None:
            x = to_tensor(X, device)
            if self.whiten:
                warn_of_outliers(x)
            fit = fit_dense(x, self._settings(), projection=self._projection(X.shape[1], x, rng))
            self._keep(fit, X.shape[0])
            return X, fit
        accumulator = self._new_accumulator(X, n_centers, rng)
        for _, part in row_chunks(X, n_centers, device):
            accumulator.add(part)
        fit = accumulator.solve(self._settings())
        self._keep(fit, X.shape[0])
        return X, fit

    def _settings(self) -> ScoreSettings:
        given: tuple[Any, ...] = (
            self.n_eigen,
            self.eigen_threshold,
            self.alpha,
            self.bandwidth,
            self.whiten,
            self.shrinkage,
            self.base,
            self.curl_free,
        )
        # NumPy's numbers, as searches over np.linspace pass them, do not mix with tensors.
        return ScoreSettings(*(v.item() if isinstance(v, np.generic) else v for v in given))
