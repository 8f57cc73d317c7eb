"""SSGEScoreEstimatorCV: score estimator with cross-validated hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from sk_mige.score.folds import sample_folds
from sk_mige.score.kernels import Kernel, resolve_kernel
from sk_mige.score.outliers import outlying_rows, warn_of_outliers
from sk_mige.score.select import (
    CandidateGrid,
    candidates,
    cross_validate_scores,
    select_candidate,
)
from sk_mige.score.spectrum import ALPHAS
from sk_mige.score.subspace import fitting_coordinates

from ._rows import check_samples, check_varies, to_tensor
from ._score_base import BaseScoreEstimator
from ._ssge import SSGEScoreEstimator

__all__ = ["SSGEScoreEstimatorCV"]

# Rows on which candidates are compared. The cost is cubic, and more rows hardly change the choice.
MAX_SELECTION_ROWS = 2_048

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

Splits = list[tuple[Tensor, Tensor]]


class SSGEScoreEstimatorCV(BaseScoreEstimator):
    r"""Score estimator with bandwidth, regularisation, base and whitening cross-validated.

    Every combination of parameters is evaluated by Hyvärinen's loss on held-out folds,
    :math:`\mathbb E[\tfrac12\|\hat g\|^2 + \nabla\cdot\hat g]`. Hyvärinen's loss ranks estimates by
    the distance from the true score without knowing the true score. One eigendecomposition for
    each fold and bandwidth serves all thresholds, strengths and bases, as in
    :class:`~sklearn.linear_model.RidgeCV`. Constant and collinear columns are left out of
    comparison and fit, as described in the notes of :class:`SSGEScoreEstimator`.

    Parameters
    ----------
    bandwidth_factors : sequence of float, default=(0.25, 0.5, 1.0, 2.0)
        Kernel widths, as multiples of the median distance. Much wider kernels act as polynomials,
        which fit the samples equally well but diverge outside the data.
    eigen_thresholds : sequence of float in (0, 1], default=(0.8, 0.9, 0.94, 0.97, 0.99, 0.999)
        Spectral cutoffs; may be empty.
    alphas : sequence of float or "auto", default="auto"
        Tikhonov regularisation strengths; may be empty. "auto" is a grid from 1e-6 to 10 in half
        decades, and infinity. An infinite strength uses the base alone.
    shrinkages : sequence of float or str, default=("auto", 1.0)
        Shrinkage intensities of the covariance, as in :class:`SSGEScoreEstimator`.

        - "auto" maximises the leave-one-out likelihood and may choose 0.
        - 1 only divides features by their standard deviations, which suits clusters of different
          shapes.
    bases : sequence of {"student", "gaussian", None}, default=("student", None)
        Base densities.
    curl_free : sequence of bool, default=(False, True)
        Whether to expand the log-density instead of the score.
    kernels : sequence of {"rbf", "imq", "matern", "multiscale"} or Kernel, default=("rbf",)
        Kernels, as in :class:`SSGEScoreEstimator`. Each further kernel takes as long as the first.
    cv : int, cross-validation splitter or iterable, default=5
        Number of folds, splitter or splits. With a number, rows are assigned to folds at random
        within strata of distance from the mean. The random numbers are fixed and act on ranks. The
        folds are thus deterministic and independent of the order of the rows. Equal rows are in the
        same fold.
    n_landmarks : int, "auto" or None, default="auto"
        Number of landmarks, as in :class:`SSGEScoreEstimator`. Candidates are compared by dense
        fits to at most 2,048 rows. With landmarks, ``alpha`` is chosen again on all rows.
    landmark_selection : {"random", "kmeans++", "leverage"}, default="random"
        Method that chooses landmarks among the rows.
    device : str or torch.device, default="auto"
        Device of the computation.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the choice of landmarks and of the rows for the comparison. Nothing
        else is random.

    Attributes
    ----------
    best_params_ : dict
        Chosen combination as parameters of :class:`SSGEScoreEstimator`, with ``bandwidth`` as a
        number.
    best_score_ : float
        Mean held-out score of the chosen combination. The score is minus Hyvärinen's loss, with
        features in units of their standard deviations.
    best_index_ : int
        Index of the chosen combination in ``cv_results_``. The chosen combination does not always
        have rank 1.

        - Candidates are ranked by mean loss plus one standard error over the folds.
        - All candidates within half a standard error of the first candidate are considered. Of
          these, the candidate with the smallest bound on the correction to the base is chosen,
          because other candidates may diverge outside the data.
        - If ``alphas`` contains infinity, the base alone is a candidate. The base alone is chosen
          if its loss is within two standard errors of the loss of the candidate chosen above.
    cv_results_ : dict of ndarrays
        Arrays ``param_*``, ``split*_test_score``, ``mean_test_score``, ``std_test_score`` and
        ``rank_test_score``, as in :class:`~sklearn.model_selection.GridSearchCV`.
    bandwidth_ : float
        Kernel width σ, in whitened units.
    bandwidth_factor_ : float
        Chosen multiple of the median distance, from which ``bandwidth_`` follows.
    eigen_threshold_ : float or None
        Spectral cutoff; None if Tikhonov's regularisation was chosen.
    alpha_ : float
        Tikhonov strength; 0 if a cutoff was chosen.
    base_ : str or None
        Chosen base.
    curl_free_ : bool
        Chosen kind of expansion.
    kernel_ : Kernel
        Chosen kernel.
    eigenvalues_, n_eigen_, shrinkage_, degrees_of_freedom_, mean_, centers_, n_samples_seen_
        Same as in :class:`SSGEScoreEstimator`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had names.

    See Also
    --------
    SSGEScoreEstimator : Fits one combination and chooses only its regularisation strength.

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
        "kernels": ["array-like"],
        "cv": ["cv_object", Interval(Integral, 2, None, closed="left")],
        **{
            name: SSGEScoreEstimator._parameter_constraints[name]
            for name in ("n_landmarks", "landmark_selection", "device", "random_state")
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
        kernels: Sequence[Kernel | str] = ("rbf",),
        cv: Any = 5,
        n_landmarks: int | str | None = "auto",
        landmark_selection: str = "random",
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
        self.landmark_selection = landmark_selection
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Compare the candidates, then fit the best candidate to all samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two for each fold.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a part of the grid is empty or invalid, or if X is invalid for
            :meth:`SSGEScoreEstimator.fit`.
        """
        grid = _checked_grid(self)
        X = check_samples(self, X, reset=True, min_rows=2)
        check_varies(X, "they have no density and no score")
        n = X.shape[0]
        self._check_landmarks(n)
        rng = check_random_state(self.random_state)
        device = self._compute_device()
        rows = np.arange(n)
        if n > MAX_SELECTION_ROWS:
            rows = np.sort(rng.choice(rows, MAX_SELECTION_ROWS, replace=False))
        x = to_tensor(X if len(rows) == n else X[rows], device)
        self._best = self._compare(x, grid, rows, n)
        n_centers = self._n_centers(n)
        if n_centers is None:  # otherwise the rows of the landmarks are checked
            warn_of_outliers(x)
        if n_centers is None:
            return self._keep(fit_dense(to_tensor(X, device), self._best), n)
        if not self._best.truncates:
            self._best = replace(self._best, alpha="auto")
        accumulator = self._fit_landmarks(X, n_centers, rng, device)
        return self._keep(accumulator.solve(self._best), n)

    def _settings(self) -> ScoreSettings:
        """Return the settings of the best candidate, or default settings before a fit."""
        return getattr(self, "_best", None) or ScoreSettings()

    def _compare(
        self, rows: Tensor, grid: CandidateGrid, numbers: NDArray[Any], n_samples: int
    ) -> ScoreSettings:
        """Cross-validate on the given rows, and set the attributes of the search."""
        x, d = fitting_coordinates(rows)
        if isinstance(self.cv, Integral):
            splits = _dealt_splits(x, rows, int(self.cv))
        else:
            splits = _given_splits(self.cv, numbers, n_samples, x.device)
        losses, bounds = cross_validate_scores(x, grid, _without_outliers(splits, rows), d)
        settings = candidates(grid)
        base_alone = torch.tensor([math.isinf(float(s.alpha)) for s in settings]).nonzero()[:, 0]
        self.best_index_ = select_candidate(losses, bounds, simplest=base_alone)
        self.cv_results_ = _results(losses, settings)
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        best = settings[self.best_index_]
        self.eigen_threshold_ = best.eigen_threshold
        self.base_ = best.base
        self.curl_free_ = best.curl_free
        self.kernel_ = best.kernel
        return best

    def _keep(self, fit: Any, n_samples: int) -> Self:
        super()._keep(fit, n_samples)
        self.best_params_ = {
            "eigen_threshold": self.eigen_threshold_,
            "alpha": self.alpha_,
            "bandwidth": self.bandwidth_,
            "shrinkage": self._best.shrinkage,
            "base": self.base_,
            "curl_free": self.curl_free_,
            "kernel": self.kernel_,
        }
        self.bandwidth_factor_ = self._best.bandwidth_factor
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
    """Return the parameter grid of an estimator; raise ValueError if the grid is invalid."""
    given = estimator.alphas
    grid = CandidateGrid(
        tuple(estimator.shrinkages),
        _numbers("bandwidth_factors", estimator.bandwidth_factors),
        tuple(map(bool, estimator.curl_free)),
        tuple(estimator.bases),
        _numbers("eigen_thresholds", estimator.eigen_thresholds),
        ALPHAS if isinstance(given, str) else _numbers("alphas", given),
        tuple(map(resolve_kernel, estimator.kernels)),
    )
    for name in ("shrinkages", "bandwidth_factors", "curl_free", "bases", "kernels"):
        if not getattr(grid, "curl_frees" if name == "curl_free" else name):
            raise ValueError(f"{name} is empty: pass at least one value")
    if not grid.eigen_thresholds and not grid.alphas:
        raise ValueError("eigen_thresholds and alphas are empty: pass values for at least one")
    _check_values(
        "bandwidth_factors", grid.bandwidth_factors, lambda v: 0 < v < math.inf, "positive"
    )
    _check_values("eigen_thresholds", grid.eigen_thresholds, lambda v: 0 < v <= 1, "in (0, 1]")
    _check_values("alphas", grid.alphas, lambda v: v >= 0, "0 or more")
    _check_values(
        "shrinkages",
        grid.shrinkages,
        lambda v: v in ("auto", "ledoit-wolf") if isinstance(v, str) else 0 <= v <= 1,
        "in [0, 1], 'auto' or 'ledoit-wolf'",
    )
    _check_values(
        "bases",
        grid.bases,
        lambda v: v in ("student", "gaussian", None),
        "'student', 'gaussian' or None",
    )
    return grid


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        return tuple(map(float, values))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None


def _check_values(
    name: str, values: Sequence[Any], valid: Callable[[Any], bool], wanted: str
) -> None:
    bad = [value for value in values if not valid(value)]
    if bad:
        raise ValueError(f"{name} must be {wanted}, got {bad}")


def _dealt_splits(x: Tensor, rows: Tensor, n_folds: int) -> Splits:
    """Split rows with coordinates x into folds; equal rows are in the same fold."""
    if n_folds > len(x) // 2:
        raise ValueError(
            f"cv={n_folds} folds need at least {2 * n_folds} samples, X has {len(x)}; lower cv"
        )
    fold = sample_folds(x, n_folds, rows)
    return [((fold != k).nonzero()[:, 0], (fold == k).nonzero()[:, 0]) for k in range(n_folds)]


def _without_outliers(splits: Splits, rows: Tensor) -> Splits:
    """Remove held-out rows with outliers, which would dominate the mean loss.

    At outliers, a score of 0 has the lowest loss.
    """
    usual = ~outlying_rows(rows)
    return [(train, held[usual[held]] if usual[held].any() else held) for train, held in splits]


def _given_splits(cv: Any, numbers: NDArray[Any], n_samples: int, device: torch.device) -> Splits:
    """Restrict splits of all samples to the rows used for comparison.

    Parameters
    ----------
    cv : cross-validation splitter or iterable
        Splitter or splits of all rows of X.
    numbers : ndarray of int of shape (n,)
        Ascending indices of the rows used for comparison. The returned splits are positions in this
        array.
    n_samples : int
        Number of rows of X.
    device : torch.device
        Device of the result.
    """
    place = np.full(n_samples, -1)
    place[numbers] = np.arange(len(numbers))
    splits = []
    for number, parts in enumerate(check_cv(cv).split(np.empty((n_samples, 1)))):
        found = [place[part] for part in parts]
        train, test = (torch.from_numpy(part[part >= 0]).to(device) for part in found)
        if len(train) < 2 or len(test) < 1:
            raise ValueError(
                f"cv: split {number} has {len(train)} training rows and {len(test)} test rows "
                f"among the {len(numbers)} rows that are compared; at least 2 and 1 are needed. "
                "Use fewer splits or larger test sets"
            )
        splits.append((train, test))
    return splits
