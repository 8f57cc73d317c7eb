"""SSGEScoreEstimatorCV: score estimator with cross-validated hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import product
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige.score import ScoreSettings, fit_dense
from sk_mige.score.fit import ScoreFit
from sk_mige.score.folds import sample_folds
from sk_mige.score.kernels import Kernel, resolve_kernel
from sk_mige.score.outliers import outlying_rows, warn_of_outliers
from sk_mige.score.select import CandidateGrid, candidates, cross_validate_scores, finalists
from sk_mige.score.spectrum import ALPHAS
from sk_mige.score.subspace import fitting_coordinates

from ._rows import to_tensor
from ._score_base import BaseScoreEstimator, drawn_rows, warn_of_dense_fit
from ._ssge import SSGEScoreEstimator

# Up to MAX_COMPARED_ROWS rows, all rows are used to compare the candidates. With more rows,
# COMPARED_ROWS rows select the finalists, because the cost is cubic. The finalists are then fitted
# to at most MAX_VALIDATION_ROWS rows.
MAX_COMPARED_ROWS, COMPARED_ROWS, MAX_VALIDATION_ROWS = 2_048, 1_024, 50_000
# The number of landmarks is doubled up to MAX_LANDMARKS, as long as a doubling increases the
# held-out score by more than the fraction USEFUL_GAIN.
MAX_LANDMARKS, USEFUL_GAIN = 4_000, 0.02

# Settings of each candidate in cv_results_.
PARAMETERS = (
    "shrinkage",
    "kernel",
    "bandwidth_factor",
    "curl_free",
    "base",
    "eigen_threshold",
    "alpha",
)

# Valid values of the parameters that are sequences.
VALID_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bandwidth_factors": (lambda v: 0 < v < math.inf, "positive"),
    "eigen_thresholds": (lambda v: 0 < v <= 1, "in (0, 1]"),
    "alphas": (lambda v: v >= 0, "0 or more"),
    "shrinkages": (
        lambda v: v == "auto" if isinstance(v, str) else 0 <= v <= 1,
        "in [0, 1] or 'auto'",
    ),
    "bases": (lambda v: v in ("student", "gaussian", None), "'student', 'gaussian' or None"),
}

Splits = list[tuple[Tensor, Tensor]]


class SSGEScoreEstimatorCV(BaseScoreEstimator):
    r"""Score estimator with cross-validated kernel, bandwidth, regularisation and whitening.

    Every combination of parameters is evaluated by Hyvärinen's loss on held-out folds,
    :math:`\mathbb E[\tfrac12\|\hat g\|^2 + \nabla\cdot\hat g]`. The expected loss is lowest for the
    estimate closest to the unknown true score in mean square. For each fold, whitening, kernel and
    bandwidth, one eigendecomposition is computed, or two if ``curl_free`` contains True. The
    eigendecompositions are reused for all thresholds, values of alpha and bases. Directions without
    variance are left out of the comparison and the fit, as described in the notes of
    :class:`SSGEScoreEstimator`.

    Parameters
    ----------
    bandwidth_factors : sequence of float, default=(0.25, 0.5, 1.0, 2.0)
        Kernel widths, as multiples of the median distance. With factors far above 2, the estimates
        can diverge outside the data.
    eigen_thresholds : sequence of float in (0, 1], default=(0.8, 0.9, 0.94, 0.97, 0.99, 0.999)
        Spectral cutoffs to compare. The sequence may be empty.
    alphas : sequence of float or "auto", default="auto"
        Tikhonov regularisation strengths to compare. The sequence may be empty. The value "auto"
        means a grid from 1e-6 to 10 with two values per decade, and infinity. With an infinite
        strength, the estimate is the score of the base. With "auto", a finite strength is chosen
        again on all rows if ``n_landmarks`` is a number, or with more than 2,048 rows.
    shrinkages : sequence of float or str, default=("auto", 1.0)
        Shrinkage intensities of the covariance, as in :class:`SSGEScoreEstimator`.

        - With "auto", the intensity maximises the leave-one-out likelihood and may be 0.
        - With an intensity of 1, whitening only divides features by their standard deviations. The
          intensity 1 suits clusters of different shapes.
    bases : sequence of {"student", "gaussian", None}, default=("student", None)
        Base densities to compare.
    curl_free : sequence of bool, default=(False, True)
        Values to compare. With True, the log-density is expanded instead of the score.
    kernels : "auto" or sequence of {"rbf", "imq", "matern", "multiscale"} or Kernel, default="auto"
        Kernels, each compared with every bandwidth factor. The time is proportional to the number
        of kernels. The value "auto" means the RBF and, for two or more features, also
        ``Matern(nu=1.5)``. With "auto", the Matérn kernel is compared only with the factor 1,
        Tikhonov regularisation and ``curl_free=False``.
    cv : int, cross-validation splitter or iterable, default=5
        Number of folds, splitter or splits. With a number, rows are assigned to folds by fixed
        random numbers within strata of distance from the mean. The folds do not depend on the
        order of the rows. Equal rows are in the same fold.
    n_landmarks : int, "auto" or None, default="auto"
        Number of landmarks, as in :class:`SSGEScoreEstimator`. If landmarks are needed, "auto"
        tries 1,000 and 2,000, and uses the number with the lower held-out loss. If 2,000 landmarks
        increase the held-out score by more than 2 %, "auto" also tries 4,000.
    device : str or torch.device, default="auto"
        Device of the computation.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the choice of landmarks, and of the rows on which candidates are
        compared.

    Attributes
    ----------
    best_params_ : dict
        Chosen combination as parameters of :class:`SSGEScoreEstimator`, with ``bandwidth`` as a
        number.
    best_score_ : float
        Mean held-out score of the chosen combination, in the units of :meth:`score`. The scores in
        ``cv_results_`` are computed with features in units of their standard deviations, so that
        the choice does not depend on units.
    best_index_ : int
        Index of the chosen combination in ``cv_results_``. The chosen combination does not always
        have rank 1.

        - Candidates are ranked by mean loss plus one standard error over the folds.
        - Among all candidates within half a standard error of the top candidate, the candidate with
          the smallest correction to the base is chosen. Larger corrections may diverge outside the
          data.
        - If ``alphas`` contains infinity, the base alone is a candidate. The loss of the base is
          compared with the loss of the candidate chosen by the rules above. The base is chosen
          unless its loss is higher by more than two standard errors of the difference.
        - If the grid contains the default settings of :class:`SSGEScoreEstimator`, their mean loss
          is compared with the loss of the candidate chosen above. The settings with the lower loss
          are chosen.
        - If ``n_landmarks`` is a number, or with more than 2,048 rows, finalists are compared
          again, as described in the notes.
    cv_results_ : dict of ndarrays
        Arrays ``param_*``, ``split*_test_score``, ``mean_test_score``, ``std_test_score`` and
        ``rank_test_score``, as in :class:`~sklearn.model_selection.GridSearchCV`.
    bandwidth_ : float
        Kernel width σ, in whitened units.
    bandwidth_factor_ : float
        Chosen multiple of the median distance, which determines ``bandwidth_``.
    eigen_threshold_ : float or None
        Chosen spectral cutoff, or None if Tikhonov regularisation was chosen.
    alpha_ : float
        Chosen Tikhonov strength, or 0 if a cutoff was chosen.
    base_ : str or None
        Chosen base.
    curl_free_ : bool
        Chosen value of ``curl_free``.
    kernel_ : Kernel
        Chosen kernel.
    eigenvalues_, n_eigen_, shrinkage_, degrees_of_freedom_, mean_, centers_, n_samples_seen_
        Same as in :class:`SSGEScoreEstimator`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    SSGEScoreEstimator : Fits one combination and chooses only its regularisation strength.

    Notes
    -----
    With at most 2,048 rows, all candidates are compared on all rows. Computing ``best_score_``
    takes one further fit for each split. If ``n_landmarks`` is a number, up to four finalists are
    fitted with landmarks to the training rows of each split, and compared again.

    With more rows, up to four finalists are selected on 1,024 of the rows. The finalists are the
    best candidate and, for each value of ``curl_free``, the best candidate of finite strength. The
    default settings of :class:`SSGEScoreEstimator` are also a finalist if they are in the grid.
    Each finalist is fitted to the training rows of the first split, as in the final fit. At most
    50,000 rows are split into training and held-out rows. The finalist with the lowest loss on the
    held-out rows is fitted to all rows. The comparison of finalists takes one fit for each
    finalist. If landmarks are needed, there is a further fit with 2,000 landmarks, and sometimes
    one with 4,000.

    References
    ----------
    A. Hyvärinen, "Estimation of Non-Normalized Statistical Models by Score Matching", JMLR 6,
    2005.

    Examples
    --------
    >>> from sk_mige import SSGEScoreEstimatorCV
    >>> from sk_mige.datasets import make_banana
    >>> X, score = make_banana(200, random_state=0)
    >>> estimator = SSGEScoreEstimatorCV().fit(X)
    >>> X_new = score.sample(500, random_state=1)
    >>> error = ((estimator.transform(X_new) - score(X_new)) ** 2).sum()
    >>> bool(error < 0.5 * (score(X_new) ** 2).sum())
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "bandwidth_factors": ["array-like"],
        "eigen_thresholds": ["array-like"],
        "alphas": ["array-like", StrOptions({"auto"})],
        "shrinkages": ["array-like"],
        "bases": ["array-like"],
        "curl_free": ["array-like"],
        "kernels": ["array-like", StrOptions({"auto"})],
        "cv": ["cv_object", Interval(Integral, 2, None, closed="left")],
        **{
            name: SSGEScoreEstimator._parameter_constraints[name]
            for name in ("n_landmarks", "device", "random_state")
        },
    }

    def __init__(
        self,
        *,
        bandwidth_factors: Sequence[float] = (0.25, 0.5, 1.0, 2.0),
        eigen_thresholds: Sequence[float] = (0.8, 0.9, 0.94, 0.97, 0.99, 0.999),
        alphas: Sequence[float] | str = "auto",
        shrinkages: Sequence[float | str] = ("auto", 1.0),
        bases: Sequence[str | None] = ("student", None),
        curl_free: Sequence[bool] = (False, True),
        kernels: Sequence[Kernel | str] | str = "auto",
        cv: Any = 5,
        n_landmarks: int | str | None = "auto",
        device: str | torch.device = "auto",
        random_state: Any = None,
    ) -> None:
        self.bandwidth_factors = bandwidth_factors
        self.eigen_thresholds = eigen_thresholds
        self.alphas = alphas
        self.shrinkages = shrinkages
        self.bases = bases
        self.curl_free = curl_free
        self.kernels = kernels
        self.cv = cv
        self.n_landmarks = n_landmarks
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Compare the candidates, then fit the best candidate to all samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two for each fold if ``cv`` is a number.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a part of the grid is invalid, if a fold has too few rows, or if X is invalid.
        """
        grid = _checked_grid(self)
        X = self._check_training(X)
        n = X.shape[0]
        self._check_landmarks(n)
        if self.n_landmarks is None:
            warn_of_dense_fit(n)
        rng = check_random_state(self.random_state)
        rows = drawn_rows(n, COMPARED_ROWS if n > MAX_COMPARED_ROWS else n, rng)
        device = self._compute_device()
        x = to_tensor(X[rows], device)
        indices, splits = self._compare(x, grid, rows, n)
        if len(rows) == n and self._given_landmarks() is None:
            warn_of_outliers(x)
            # All candidates were compared as they will be fitted.
            trials = {indices[0]: self._candidates[indices[0]]}
        else:
            trials = {k: self._chosen_again(self._candidates[k]) for k in indices}
        if len(rows) < n:
            rows = drawn_rows(n, MAX_VALIDATION_ROWS, rng)
            x = to_tensor(X[rows], device)
            splits = self._splits(x, x, rows, n)[:1]
        n_centers = self._choose(x, trials, splits, n, rng)
        return self._keep(self._fit_best(X, n_centers, rng), n)

    def _settings(self) -> ScoreSettings:
        """Return the settings of the best candidate, or default settings before a fit."""
        return getattr(self, "_best", None) or ScoreSettings()

    def _splits(self, x: Tensor, rows: Tensor, numbers: NDArray[Any], n_samples: int) -> Splits:
        """Return splits of rows with coordinates x, without outliers among held-out rows."""
        if isinstance(self.cv, Integral):
            splits = _dealt_splits(x, rows, int(self.cv))
        else:
            splits = _given_splits(self.cv, numbers, n_samples, x.device)
        # Outliers would dominate the mean loss. At an outlier, the loss of a score of 0 is lower
        # than the loss of the exact score.
        usual = ~outlying_rows(rows)
        return [(train, held[usual[held]] if usual[held].any() else held) for train, held in splits]

    def _compare(
        self, rows: Tensor, grid: CandidateGrid, numbers: NDArray[Any], n_samples: int
    ) -> tuple[list[int], Splits]:
        """Cross-validate on the given rows, and return the splits and the finalists, best first."""
        x, d = fitting_coordinates(rows)
        splits = self._splits(x, rows, numbers, n_samples)
        grids = [grid, *_default_kernels(self, grid, x.shape[1])]
        losses, bounds = cross_validate_scores(x, grids, splits, d)
        self._candidates = [settings for part in grids for settings in candidates(part)]
        self.cv_results_ = _results(losses, self._candidates)
        return finalists(losses, bounds / len(x), self._candidates), splits

    def _chosen_again(self, settings: ScoreSettings) -> ScoreSettings:
        """Return settings with alpha="auto" if ``alphas`` is "auto" and alpha is finite."""
        if isinstance(self.alphas, str) and math.isfinite(float(settings.alpha)):
            return replace(settings, alpha="auto")  # 0 with a cutoff
        return settings

    def _choose(
        self, x: Tensor, trials: dict[int, ScoreSettings], splits: Splits, n_samples: int, rng: Any
    ) -> int | None:
        """Fit the finalists, keep the best, and return the number of landmarks of the best."""
        tried = []
        for index, self._best in trials.items():
            n_centers = self._n_centers(n_samples)
            scores = self._held_out(x, splits, n_centers, rng)
            tried.append((scores, n_centers, index, self._best))
        best = max(tried, key=lambda trial: trial[0][0])
        while self.n_landmarks == "auto" and best[1] is not None and best[1] < MAX_LANDMARKS:
            self._best, more, before = best[3], 2 * best[1], best[0][0]
            trial = (self._held_out(x, splits, more, rng), more, *best[2:])
            best = max(best, trial, key=lambda trial: trial[0][0])
            if best[0][0] - before <= USEFUL_GAIN * abs(before):
                break
        (_, self.best_score_), n_centers, self.best_index_, self._best = best
        self._warn_of_landmarks(n_samples, n_centers)
        return n_centers

    def _held_out(
        self, x: Tensor, splits: Splits, n_centers: int | None, rng: Any
    ) -> tuple[float, float]:
        """Return minus the mean held-out loss in two units: of standardised features, and of X."""
        scores = []
        for train, held in splits:
            # A copy of the generator draws the same landmarks in every trial.
            model = self._fit_best(x[train].cpu().numpy(), n_centers, deepcopy(rng)).model
            points = x[held]
            assert model.units is not None
            standard = replace(model, units=None).hyvarinen_loss(model.units(points))
            scores.append((-float(standard.mean()), -float(model.hyvarinen_loss(points).mean())))
        first, second = np.mean(scores, axis=0)
        return float(first), float(second)

    def _fit_best(self, X: Any, n_centers: int | None, rng: Any) -> ScoreFit:
        """Fit the best candidate to rows."""
        if n_centers is None:
            return fit_dense(to_tensor(X, self._compute_device()), self._best)
        return self._fit_landmarks(X, min(n_centers, len(X)), rng).solve(self._best)

    def _keep(self, fit: Any, n_samples: int) -> Self:
        super()._keep(fit, n_samples)
        best = self._best
        self.eigen_threshold_, self.base_ = best.eigen_threshold, best.base
        self.curl_free_ = best.curl_free
        self.best_params_ = {
            "eigen_threshold": self.eigen_threshold_,
            "alpha": self.alpha_,
            "bandwidth": self.bandwidth_,
            "shrinkage": best.shrinkage,
            "base": self.base_,
            "curl_free": self.curl_free_,
            "kernel": self.kernel_,
        }
        self.bandwidth_factor_ = best.bandwidth_factor
        return self


def _results(losses: Tensor, settings: list[ScoreSettings]) -> dict[str, NDArray[Any]]:
    """Return ``cv_results_`` for losses (n_splits, n_candidates)."""
    scores = -torch.nan_to_num(losses, nan=math.inf, posinf=math.inf).cpu().numpy()
    results = {
        f"param_{name}": np.array([getattr(s, name) for s in settings], dtype=object)
        for name in PARAMETERS
    }
    mean = scores.mean(0)
    results["mean_test_score"] = mean
    # A candidate that failed on a fold has a score of minus infinity and no standard deviation.
    results["std_test_score"] = np.where(np.isfinite(scores), scores, np.nan).std(0)
    results["rank_test_score"] = np.argsort(np.argsort(-mean, kind="stable")) + 1
    for number, row in enumerate(scores):
        results[f"split{number}_test_score"] = row
    return results


def _checked_grid(estimator: SSGEScoreEstimatorCV) -> CandidateGrid:
    """Return the parameter grid of an estimator, and raise ValueError if the grid is invalid."""
    given, kernels = estimator.alphas, estimator.kernels
    factors = _numbers("bandwidth_factors", estimator.bandwidth_factors)
    grid = CandidateGrid(
        tuple(estimator.shrinkages),
        tuple(product(map(resolve_kernel, ["rbf"] if kernels == "auto" else kernels), factors)),
        tuple(map(bool, estimator.curl_free)),
        tuple(estimator.bases),
        _numbers("eigen_thresholds", estimator.eigen_thresholds),
        ALPHAS if isinstance(given, str) else _numbers("alphas", given),
    )
    for name in ("shrinkages", "bandwidth_factors", "curl_free", "bases", "kernels"):
        if not len(getattr(estimator, name)):
            raise ValueError(f"{name} is empty: pass at least one value")
    if not grid.eigen_thresholds and not grid.alphas:
        raise ValueError("eigen_thresholds and alphas are empty: pass values for at least one")
    given_values = {**vars(grid), "bandwidth_factors": factors}
    for name, (is_valid, wanted) in VALID_VALUES.items():
        bad = [value for value in given_values[name] if not is_valid(value)]
        if bad:
            raise ValueError(f"{name} must be {wanted}, got {bad}")
    return grid


def _default_kernels(
    estimator: SSGEScoreEstimatorCV, grid: CandidateGrid, n_features: int
) -> list[CandidateGrid]:
    """Return grids of the other kernels among which the default settings choose."""
    if not isinstance(estimator.kernels, str) or n_features == 1:
        return []
    if False not in grid.curl_frees or not grid.alphas:
        return []
    factors = [factor for kernel, factor in grid.scales if factor == 1]
    return [
        replace(grid, scales=((kernel, factor),), curl_frees=(False,), eigen_thresholds=())
        for kernel in ScoreSettings().kernels[1:]
        for factor in factors
    ]


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        return tuple(map(float, values))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None


def _dealt_splits(x: Tensor, rows: Tensor, n_folds: int) -> Splits:
    """Split rows with coordinates x into folds, with equal rows in the same fold."""
    if n_folds > len(x) // 2:
        raise ValueError(
            f"cv={n_folds} needs at least {2 * n_folds} samples, but X has {len(x)}; use a "
            "smaller cv"
        )
    fold = sample_folds(x, n_folds, rows)
    return [((fold != k).nonzero()[:, 0], (fold == k).nonzero()[:, 0]) for k in range(n_folds)]


def _given_splits(cv: Any, numbers: NDArray[Any], n_samples: int, device: torch.device) -> Splits:
    """Restrict splits of all samples to the rows used for comparison.

    Parameters
    ----------
    cv : cross-validation splitter or iterable
        Splitter or splits of all rows of X.
    numbers : ndarray of int of shape (n,)
        Ascending indices of the rows used for comparison. The returned splits hold positions in
        ``numbers``.
    n_samples : int
        Number of rows of X.
    device : torch.device
        Device of the result.
    """
    place = np.full(n_samples, -1)
    place[numbers] = np.arange(len(numbers))
    splits = []
    try:
        divided = list(check_cv(cv).split(np.empty((n_samples, 1))))
    except TypeError as error:
        raise TypeError(
            f"cv={cv!r} cannot divide rows without labels: {error}. Pass a number of folds, or a "
            "splitter that needs only X, such as KFold"
        ) from error
    for number, parts in enumerate(divided):
        found = [place[part] for part in parts]
        train, test = (torch.from_numpy(part[part >= 0]).to(device) for part in found)
        if len(train) < 2 or len(test) < 1:
            raise ValueError(
                f"cv: split {number} must have at least 2 training rows and 1 test row among the "
                f"{len(numbers)} compared rows, got {len(train)} and {len(test)}. Use fewer splits "
                "or larger test sets"
            )
        splits.append((train, test))
    return splits
