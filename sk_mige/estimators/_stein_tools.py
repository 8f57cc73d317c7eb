"""KernelSteinTest and SteinThinning: kernel Stein discrepancies as estimators."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _is_fitted, _num_samples, check_is_fitted
from torch import Tensor

from sk_mige._arrays import float_array, readable
from sk_mige._warnings import warn_user
from sk_mige.objectives.base import check_instance
from sk_mige.score import Kernel, SteinKernel, stein_kernel
from sk_mige.score.kernels import KERNELS
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.posterior import ScoreErrors
from sk_mige.score.stein import BANDWIDTHS

from ._rows import check_finite, check_samples, check_spread, check_varies, to_tensor, warn_of_ends
from ._score_base import BaseScoreEstimator
from ._sliced_score import SlicedScoreMatching
from ._ssge import SSGEScoreEstimator

# Largest distance from the median of a column, in median deviations, for which float64 resolves
# the distances of other rows.
FARTHEST = 1e7
# Fraction of copied rows above which a test warns. Samples of a density are never equal.
COPIED = 0.01
# A test warns about autocorrelations above CORRELATED and above SIGNIFICANT standard errors.
CORRELATED, SIGNIFICANT = 0.2, 5.0


class _SteinTool(BaseEstimator):
    """Base class of estimators that use the Stein kernel of rows and their scores."""

    score_estimator: Any
    kernel: Kernel | str
    bandwidth: float | str
    preconditioner: str | None

    _parameter_constraints: dict[str, list[Any]] = {
        "score_estimator": [BaseScoreEstimator, SlicedScoreMatching, callable, None],
        "kernel": [StrOptions(set(KERNELS)), Kernel],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions(set(BANDWIDTHS))],
        "preconditioner": [StrOptions({"std", "covariance"}), None],
    }

    def _score_source(self, X: Any) -> Any:
        """Return the fitted estimator or function that computes scores if no scores are given."""
        raise NotImplementedError

    def _errors(self, rows: Any) -> ScoreErrors | None:
        """Return the posterior of the errors of scores that were estimated from the rows."""
        return None

    def _fit_kernel(self, X: Any, y: Any) -> SteinKernel:
        """Validate rows and scores, and return the Stein kernel."""
        rows = check_samples(self, X, reset=True, min_rows=2)
        check_varies(rows, "all distances are 0")
        warn_of_ends(rows)
        points = to_tensor(rows, torch.device("cpu"))
        if self.preconditioner is None:
            check_spread(points, 2)
        scores = float_array(self._scores(X, rows, y), "scores")
        if scores.shape != tuple(rows.shape):
            raise ValueError(
                f"scores must have the shape of X, {tuple(rows.shape)}, got {scores.shape}"
            )
        made = stein_kernel(
            points,
            to_tensor(scores, torch.device("cpu")),
            kernel=self.kernel,
            bandwidth=self.bandwidth,
            preconditioner=self.preconditioner,
            errors=self._errors(rows),
        )
        check_finite(made.diagonal())
        self.bandwidth_ = made.bandwidth
        return made

    def _check_resolved(self, result: float) -> None:
        """Raise ValueError if the result is not finite."""
        if not math.isfinite(result):
            raise ValueError(
                f"bandwidth={self.bandwidth!r} is too small for the distances between rows of X, "
                "which exceed the range of float64 in units of the bandwidth: use "
                "bandwidth='median'"
            )

    def _scores(self, X: Any, rows: Any, y: Any) -> Any:
        """Return given scores y, or the scores of ``score_estimator`` at the rows."""
        if np.ndim(y) < 2:
            is_label = np.asarray(y).dtype.kind != "f" or not np.any(np.mod(y, 1))
            if self.score_estimator is None and not is_label:
                raise ValueError(
                    f"y has the shape {np.shape(y)}, but scores of X with n_features = "
                    f"{rows.shape[1]} have the shape {tuple(rows.shape)}: pass the gradient of the "
                    "log-density at each row, or y=None"
                )
            source = self._score_source(X)
            check_instance("score_estimator", source, "a function or an instance")
            if isinstance(source, BaseEstimator):
                return source.transform(X)
            return source(np.array(rows))  # a copy, which the function may change in place
        if self.score_estimator is not None:
            raise ValueError(
                "scores come from both y and score_estimator; pass scores as y with "
                "score_estimator=None, or y=None"
            )
        return y


class KernelSteinTest(_SteinTool):
    r"""Goodness-of-fit test of rows against a density with a known score.

    The statistic is the U-statistic of the squared kernel Stein discrepancy,

    .. math:: \frac{1}{n (n - 1)} \sum_{i \neq j} k_p(x_i, x_j) .

    The kernel :math:`k_p` is the Langevin Stein kernel (:class:`~sk_mige.score.SteinKernel`). Only
    the score :math:`\nabla \log p` of the density is used, so p need not be normalised. The p-value
    is computed by the wild bootstrap, which assigns random signs to the rows. The test needs
    independent rows. For rows of a Markov chain, keep only every k-th row, with k above the
    autocorrelation time.

    The test has little power against wrong weights of separate modes, because the score near a mode
    does not depend on the weights.

    Parameters
    ----------
    score_estimator : callable or score estimator, default=None
        Score of the density p. A function maps an ndarray (n, d) to scores (n, d). A score
        estimator of this package must be fitted to rows that the test does not use. If None, pass
        scores as ``y`` of ``fit``.
    kernel : {"rbf", "imq", "matern", "multiscale"} or Kernel, default="imq"
        Radial kernel k (:func:`sk_mige.score.stein_kernel`).
    bandwidth : "median", "scaled-median" or float, default="median"
        Bandwidth of the kernel. The value "median" is the median distance between r ≤ 1,000 rows.
        The value "scaled-median" is the median divided by :math:`\sqrt{\log r}`. A number is in
        units of standard deviations, or in the units of X if ``preconditioner=None``.
    preconditioner : {"std", "covariance"} or None, default="std"
        Coordinates of the distances. With ``"std"``, features are in units of their standard
        deviations, and the statistic does not depend on the units of the features. With
        ``"covariance"``, the statistic does not depend on correlations of the features either. With
        None, features are in the units of X.
    n_bootstrap : int, default=999
        Number B of bootstrap replicates. The smallest p-value is 1 / (B + 1).
    random_state : int, RandomState instance or None, default=None
        Seed or generator of the signs.

    Attributes
    ----------
    statistic_ : float
        U-statistic T, an unbiased estimate of the squared discrepancy, without unit.
    p_value_ : float
        Fraction :math:`(1 + \#\{b : T_b \ge T\}) / (B + 1)` of replicates at or above the
        statistic.
    replicates_ : ndarray of shape (n_bootstrap,)
        Bootstrap replicates :math:`T_b` of the statistic.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    sk_mige.score.kernel_stein_discrepancy : Squared discrepancy for tensors.
    SteinThinning : Selects rows with a small discrepancy.

    References
    ----------
    K. Chwialkowski, H. Strathmann, A. Gretton, "A Kernel Test of Goodness of Fit", ICML 2016.

    Q. Liu, J. Lee, M. Jordan, "A Kernelized Stein Discrepancy for Goodness-of-fit Tests", ICML
    2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import KernelSteinTest
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> test = KernelSteinTest(lambda x: -x, random_state=0)  # the score of N(0, I)
    >>> test.fit(X).p_value_ > 0.05
    True
    >>> test.fit(X + 0.3).p_value_
    0.001
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **_SteinTool._parameter_constraints,
        "n_bootstrap": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        score_estimator: Any = None,
        *,
        kernel: Kernel | str = "imq",
        bandwidth: float | str = "median",
        preconditioner: str | None = "std",
        n_bootstrap: int = 999,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.score_estimator = score_estimator
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.preconditioner = preconditioner
        self.n_bootstrap = n_bootstrap
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        r"""Compute the statistic and the p-value of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Independent rows, at least 2. The time is O(n² (d + B)), and the memory is O(n (d + B)).
        y : array-like of shape (n_samples, n_features), default=None
            Scores :math:`\nabla \log p` at the rows, used if ``score_estimator`` is None.
            One-dimensional class labels are ignored.

        Returns
        -------
        self
            The fitted test.

        Raises
        ------
        ValueError
            If there are no scores, scores from both ``y`` and ``score_estimator``, or scores
            without the shape of X. The error is also raised if a value of X is so large that
            float64 does not resolve the other distances.
        NotFittedError
            If ``score_estimator`` is an unfitted estimator.

        Warns
        -----
        UserWarning
            If one of these conditions holds:

            - More than 1 % of the rows are copies of other rows, as in a Metropolis chain, or are
              centres of ``score_estimator``. The p-value is then not valid, unless the copies are
              due to rounding to at most a tenth of the standard deviation.
            - The ranks of a column have an autocorrelation above 0.2 and above 5 / √n, as in a
              Markov chain.
            - The density of a column is probably positive at an end, as for an exponential column.
              The test then rejects even exact scores.
        """
        kernel = self._fit_kernel(X, y)
        self._check_independent(to_tensor(check_samples(self, X, reset=False), torch.device("cpu")))
        reach = (kernel.points - kernel.points.median(0).values).abs()
        usual = reach.median(0).values
        if bool(((reach.amax(0) > FARTHEST * usual) & (usual > 0)).any()):
            raise ValueError(
                f"X has values more than {FARTHEST:g} median deviations from the median of a "
                "column, and float64 does not resolve the other distances: drop such rows"
            )
        rng = check_random_state(self.random_state)
        self.statistic_, replicates = kernel.bootstrap(int(self.n_bootstrap), rng)
        self._check_resolved(self.statistic_)
        self.replicates_ = replicates.numpy()
        exceeding = int((self.replicates_ >= self.statistic_).sum())
        self.p_value_ = (1 + exceeding) / (1 + len(self.replicates_))
        return self

    def _check_independent(self, rows: Tensor) -> None:
        """Warn about rows that are copies, or rows to which the score estimator was fitted."""
        distinct = torch.unique(rows, dim=0)
        if len(distinct) < (1 - COPIED) * len(rows):
            warn_user(
                f"{len(rows) - len(distinct)} of the {len(rows)} rows are copies of other rows, as "
                "in a Metropolis chain. The test needs independent rows of a density: keep only "
                "every k-th row of a chain. Copies due to fine rounding have little effect"
            )
        else:
            _warn_of_autocorrelation(rows.numpy())
        centers = getattr(self.score_estimator, "centers_", None)
        if centers is not None:
            # Centres have rounding errors of float64.
            known, size = torch.from_numpy(centers), distinct.abs().amax(0).double()
            seen = [torch.unique((z / size).float(), dim=0) for z in (distinct, known)]
            n_common = sum(map(len, seen)) - len(torch.unique(torch.cat(seen), dim=0))
            if n_common > COPIED * len(distinct):
                warn_user(
                    "score_estimator was fitted to some of the rows, so the p-value is too large: "
                    "fit the estimator to other rows"
                )

    def _score_source(self, X: Any) -> Any:
        if self.score_estimator is None:
            raise ValueError(
                "KernelSteinTest needs the score of the density: pass score_estimator, or scores "
                "of shape (n_samples, n_features) as y"
            )
        if isinstance(self.score_estimator, BaseEstimator) and not _is_fitted(self.score_estimator):
            raise NotFittedError(
                f"score_estimator={self.score_estimator!r} is not fitted: fit it to rows other "
                "than those of the test, or pass a function as score_estimator"
            )
        return self.score_estimator


def _warn_of_autocorrelation(rows: NDArray[Any]) -> None:
    """Warn if the ranks of a column have a large autocorrelation at a lag up to n / 2."""
    n = len(rows)
    distinct = [len(np.unique(column)) > n / 2 for column in rows.T]  # ties inflate the correlation
    ranks = rankdata(rows[:, distinct], axis=0) - (n + 1) / 2
    products = np.fft.irfft(np.abs(np.fft.rfft(ranks, 2 * n, axis=0)) ** 2, axis=0)
    correlations = (products[1 : n // 2 + 1] / products[0]).max(1, initial=0)
    if correlations.max(initial=0) > max(CORRELATED, SIGNIFICANT / math.sqrt(n)):
        warn_user(
            f"a column of X has a rank autocorrelation of {correlations.max():.2f} at lag "
            f"{correlations.argmax() + 1}, as in a Markov chain. The p-value is then too small: "
            "keep only every k-th row. Shuffle rows that are independent but sorted"
        )


class SteinThinning(_SteinTool):
    r"""Selection of a few rows that represent a density, based on the scores of the density.

    Step j adds the row :math:`\pi_j` that minimises the discrepancy of all selected rows,

    .. math:: \pi_j = \arg\min_i \tfrac12 k_p(x_i, x_i) + \sum_{l < j} k_p(x_{\pi_l}, x_i) .

    The kernel :math:`k_p` is the Langevin Stein kernel (:class:`~sk_mige.score.SteinKernel`). A row
    can be selected repeatedly. With scores of a density p, the selected rows represent p, even if X
    is a biased sample of p. With scores estimated from X, the selected rows represent X.

    If an SSGE estimator is fitted to X, the selection minimises the expected squared discrepancy
    over the posterior of the score. The expectation adds :math:`k(x, y)\, \mathbb E[e(x) \cdot
    e(y)]` to the Stein kernel, with the errors e of the scores. Rows with uncertain scores, such as
    rows far from all other rows, are therefore seldom selected. Scores passed to ``fit`` and scores
    of fitted estimators are treated as exact. Scores of curl-free fits, fits with a spectral cutoff
    and fits of the base alone are also treated as exact.

    Parameters
    ----------
    n_points : int, default=100
        Number m of rows to select.
    score_estimator : callable or score estimator, default=None
        Source of the scores. A function maps an ndarray (n, d) to scores (n, d). A fitted score
        estimator is not fitted again. For an unfitted estimator, a clone is fitted to X. If None,
        the scores are ``y`` of ``fit``. Without ``y``, ``SSGEScoreEstimator(random_state=0)``
        estimates the scores.
    kernel : {"rbf", "imq", "matern", "multiscale"} or Kernel, default="imq"
        Radial kernel k (:func:`sk_mige.score.stein_kernel`).
    bandwidth : "median", "scaled-median" or float, default="scaled-median"
        Bandwidth of the kernel. The value "median" is the median distance between r ≤ 1,000 rows.
        The value "scaled-median" is the median divided by :math:`\sqrt{\log r}`. A number is in
        units of standard deviations, or in the units of X if ``preconditioner=None``.
    preconditioner : {"std", "covariance"} or None, default="std"
        Coordinates of the distances. With ``"std"``, features are in units of their standard
        deviations, and the selection does not depend on the units of the features. With
        ``"covariance"``, the selection does not depend on correlations of the features either. With
        None, features are in the units of X.

    Attributes
    ----------
    indices_ : ndarray of shape (n_points,)
        Indices of the selected rows, in the order of selection.
    points_ : ndarray of shape (n_points, n_features)
        Selected rows of X.
    discrepancy_ : float
        Kernel Stein discrepancy of the selected rows, the square root of the V-statistic, without
        unit. If the errors of the scores are estimated, the expected V-statistic is used.
    score_estimator_ : estimator, callable or None
        Fitted source of the scores, or None if ``y`` holds the scores.
    bandwidth_ : float
        Bandwidth of the kernel.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    sk_mige.score.stein_thinning : Stein thinning of tensors.
    KernelSteinTest : Tests whether rows have a given score.

    References
    ----------
    M. Riabiz, W. Chen, J. Cockayne, P. Swietach, S. Niederer, L. Mackey, C. Oates, "Optimal
    Thinning of MCMC Output", JRSS B 84, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import SteinThinning
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> thinning = SteinThinning(20).fit(X)  # or .fit(X, scores)
    >>> thinning.points_.shape
    (20, 2)
    >>> bool(np.linalg.norm(thinning.points_.mean(axis=0) - X.mean(axis=0)) < 0.1)
    True
    >>> labels = thinning.select(np.arange(500))  # of the selected rows
    """

    _n_rows: int | None = None  # files of earlier versions do not have the number of rows

    _parameter_constraints: dict[str, list[Any]] = {
        **_SteinTool._parameter_constraints,
        "n_points": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_points: int = 100,
        score_estimator: Any = None,
        *,
        kernel: Kernel | str = "imq",
        bandwidth: float | str = "scaled-median",
        preconditioner: str | None = "std",
    ) -> None:
        self.n_points = n_points
        self.score_estimator = score_estimator
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.preconditioner = preconditioner

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        r"""Select rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to select from, at least 2. The time is O(n m d), and the memory is O(n d). With
            errors of scores that are estimated from X, d is replaced by d + 256.
        y : array-like of shape (n_samples, n_features), default=None
            Scores :math:`\nabla \log p` at the rows, used if ``score_estimator`` is None.
            One-dimensional class labels are ignored.

        Returns
        -------
        self
            The fitted selection.

        Raises
        ------
        ValueError
            If there are scores from both ``y`` and ``score_estimator``, or scores do not have the
            shape of X.

        Warns
        -----
        UserWarning
            If a few outliers dominate the standard deviation of a feature, which is the unit of the
            distances unless ``preconditioner=None``. The warning is also given if the density of a
            column is probably positive at an end, as for an exponential column. The selected rows
            are then biased.
        """
        self.score_estimator_: Any = None
        kernel = self._fit_kernel(X, y)
        if self.preconditioner is not None:
            warn_of_outliers(kernel.points)
        picked = kernel.thin(int(self.n_points))
        self._n_rows = len(kernel.points)
        self.indices_ = picked.numpy()
        self.points_ = self.select(X)
        self.discrepancy_ = kernel.take(picked).discrepancy("v") ** 0.5
        self._check_resolved(self.discrepancy_)
        return self

    def select(self, values: Any) -> Any:
        """Return the entries of the selected rows.

        Parameters
        ----------
        values : array-like of shape (n_samples,) or (n_samples, n_columns)
            Values for the rows of X in ``fit``, such as X, labels or weights.

        Returns
        -------
        array-like of shape (n_points,) or (n_points, n_columns)
            Entries in the order of selection.

        Raises
        ------
        ValueError
            If the number of entries is not the number of rows of X.
        """
        check_is_fitted(self, "indices_")
        values = readable(values, "values") if isinstance(values, torch.Tensor) else values
        if isinstance(values, memoryview) or not hasattr(values, "__getitem__"):
            values = np.asarray(values)
        n_values = _num_samples(values)
        if self._n_rows not in (None, n_values):
            raise ValueError(
                f"values has {n_values} entries, but X of fit had {self._n_rows} rows: pass one "
                "entry for each row"
            )
        return _safe_indexing(values, self.indices_)

    def _score_source(self, X: Any) -> Any:
        source = self.score_estimator
        if source is None:
            source = SSGEScoreEstimator(random_state=0)
        if isinstance(source, BaseEstimator) and not _is_fitted(source):
            source = clone(source).fit(X)
        self.score_estimator_ = source
        return source

    def _errors(self, rows: Any) -> ScoreErrors | None:
        source = self.score_estimator_
        if source is self.score_estimator or not isinstance(source, BaseScoreEstimator):
            return None
        return source._score_errors(rows)
