"""SSGEScoreEstimatorCV: every choice of the score estimator made on held-out samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige.score import ScoreSettings, fit_dense
from sk_mige.score.selection import (
    CandidateGrid,
    candidates,
    cross_validate_scores,
    select_candidate,
)
from sk_mige.score.strength import loss_units
from sk_mige.score.varying import fitting_coordinates

from ._rows import check_samples, check_varies, row_chunks, to_tensor, warn_of_outliers
from ._score import SSGEScoreEstimator
from ._score_base import BaseScoreEstimator
from ._score_folds import dealt_splits, given_splits
from ._score_grid import checked_grid

__all__ = ["SSGEScoreEstimatorCV"]

# Rows on which candidates are compared. Beyond, the choice hardly changes and costs cubically.
MAX_SELECTION_ROWS = 2_048


class SSGEScoreEstimatorCV(BaseScoreEstimator):
    r"""Score estimator with bandwidth, regularisation, base and whitening cross-validated.

    Every combination is compared by Hyvärinen's loss on held-out folds,
    :math:`\mathbb E[\tfrac12\|\hat g\|^2 + \nabla\cdot\hat g]`, which ranks estimates by their
    distance from the true score without knowing it. In the manner of
    :class:`~sklearn.linear_model.RidgeCV`, one eigendecomposition of each fold and bandwidth
    serves all thresholds, strengths and bases. Constant and collinear columns are left out of the
    comparison as of the fit, see the notes of :class:`SSGEScoreEstimator`.

    Parameters
    ----------
    bandwidth_factors : sequence of float, default=(0.25, 0.5, 1.0, 2.0)
        Kernel widths, as multiples of the median distance. Much wider kernels are polynomials
        over the samples: as good there, and absurd beyond.
    eigen_thresholds : sequence of float in (0, 1], default=(0.8, 0.9, 0.94, 0.97, 0.99, 0.999)
        Spectral cutoffs; may be empty.
    alphas : sequence of float or "auto", default="auto"
        Strengths of Tikhonov's regularisation; may be empty. "auto" is a grid from 1e-6 to 10 in
        half decades, and the base alone.
    shrinkages : sequence of float or str, default=("auto", 1.0)
        Shrinkages of the whitening's covariance, as in :class:`SSGEScoreEstimator`: "auto"
        chooses by leave-one-out likelihood, 0 included; 1 is no whitening beyond a common scale,
        which clusters of unlike directions need.
    bases : sequence of {"student", "gaussian", None}, default=("student", None)
        Base scores.
    curl_free : sequence of bool, default=(False, True)
        Whether the kernel expansion is of the score or of the log-density.
    cv : int, cross-validation splitter or iterable, default=5
        Folds. A number deals the rows to the folds within strata of distance from the mean, by
        pseudo-random numbers that are always the same and act on ranks: deterministic, and
        independent of the rows' order. Equal rows are in one fold.
    n_landmarks : int, "auto" or None, default="auto"
        As in :class:`SSGEScoreEstimator`. Candidates are compared on at most 2,048 rows, fitted
        densely; with landmarks the strength ``alpha`` is chosen again on all rows.
    landmark_selection : {"random", "kmeans++", "leverage"}, default="random"
        How landmarks are chosen among the rows.
    device : str or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=None
        Choice of landmarks and of the rows to compare on; otherwise nothing is random.

    Attributes
    ----------
    best_params_ : dict
        The chosen combination as parameters of :class:`SSGEScoreEstimator`, ``bandwidth`` in
        numbers.
    best_score_ : float
        Its mean held-out score: minus Hyvärinen's loss, of features in units of their standard
        deviations where there are more samples than features.
    best_index_ : int
        Its place in ``cv_results_``. Not always that of rank 1: means are compared with their
        noise over the folds added, and among candidates less than half a standard error apart
        the one whose correction to the base has the smallest bound is taken, since a score as
        good on held-out rows may be absurd beyond them; and the base alone, where ``alphas`` has
        infinity, unless the gain over it is two standard errors.
    cv_results_ : dict of ndarrays
        ``param_*``, ``split*_test_score``, ``mean_test_score``, ``std_test_score`` and
        ``rank_test_score``, as in :class:`~sklearn.model_selection.GridSearchCV`.
    bandwidth_ : float
        Kernel width σ, in whitened units.
    bandwidth_factor_ : float
        The chosen multiple of the median distance, which made it.
    eigen_threshold_ : float or None
        Spectral cutoff, None where Tikhonov's regularisation was chosen.
    alpha_ : float
        Tikhonov strength, 0 where a cutoff was chosen.
    base_ : str or None
        Chosen base.
    curl_free_ : bool
        Chosen kind of expansion.
    eigenvalues_, n_eigen_, shrinkage_, degrees_of_freedom_, mean_, centers_, n_samples_seen_
        As in :class:`SSGEScoreEstimator`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had them.

    See Also
    --------
    SSGEScoreEstimator : One fit, its strength of regularisation alone chosen on held-out samples.

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
        self.cv = cv
        self.n_landmarks = n_landmarks
        self.landmark_selection = landmark_selection
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Compare the candidates, then fit the best one to all samples.

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
            If a part of the grid is empty or impossible, or X is as
            :meth:`SSGEScoreEstimator.fit` refuses it.
        """
        grid = checked_grid(self)
        X = check_samples(self, X, reset=True, min_rows=2)
        check_varies(X, "they have no density and no score")
        self._check_landmarks(X.shape[0])
        rng = check_random_state(self.random_state)
        device = self._compute_device()
        n_centers = self._n_centers(X.shape[0])
        rows = np.arange(X.shape[0])
        if len(rows) > MAX_SELECTION_ROWS:
            rows = np.sort(rng.choice(rows, MAX_SELECTION_ROWS, replace=False))
        x = to_tensor(X if len(rows) == X.shape[0] else X[rows], device)
        if n_centers is None:  # else the landmarks' rows are looked at
            warn_of_outliers(x)
        self._best = self._compare(x, grid, rows, X.shape[0])
        if n_centers is None:
            return self._keep(fit_dense(to_tensor(X, device), self._best), X.shape[0])
        if not self._best.truncates:
            self._best = replace(self._best, alpha="auto")
        accumulator = self._new_accumulator(X, n_centers, rng)
        for _, part in row_chunks(X, n_centers, device):
            accumulator.add(part)
        return self._keep(accumulator.solve(self._best), X.shape[0])

    def _settings(self) -> ScoreSettings:
        """Settings of the best candidate; before there is one, those of a default fit."""
        return getattr(self, "_best", None) or ScoreSettings()

    def _compare(
        self, rows: Tensor, grid: CandidateGrid, numbers: NDArray[Any], n_samples: int
    ) -> ScoreSettings:
        """Cross-validate on rows of these numbers and set the attributes that tell of it."""
        x, d = fitting_coordinates(rows)
        units = loss_units(x, ScoreSettings(), d)
        if isinstance(self.cv, Integral):
            splits = dealt_splits(x if units is None else x / units, rows, int(self.cv))
        else:
            splits = given_splits(self.cv, numbers, n_samples, x.device)
        losses, bounds = cross_validate_scores(x, grid, splits, d, units)
        scores = -torch.nan_to_num(losses, nan=math.inf, posinf=math.inf).cpu().numpy()
        settings = candidates(grid)
        mean = scores.mean(0)
        bare = torch.tensor([math.isinf(float(candidate.alpha)) for candidate in settings])
        self.best_index_ = select_candidate(losses, bounds, simplest=bare.nonzero()[:, 0])
        best = settings[self.best_index_]
        self.best_score_ = float(mean[self.best_index_])
        self.cv_results_ = {
            f"param_{name}": np.array([getattr(s, name) for s in settings], dtype=object)
            for name in PARAMETERS
        }
        self.cv_results_["mean_test_score"] = mean
        # A candidate that failed on a fold has a score of minus infinity, and no spread.
        finite = np.where(np.isfinite(scores), scores, np.nan)
        self.cv_results_["std_test_score"] = finite.std(0)
        self.cv_results_["rank_test_score"] = np.argsort(np.argsort(-mean, kind="stable")) + 1
        for number, row in enumerate(scores):
            self.cv_results_[f"split{number}_test_score"] = row
        self.eigen_threshold_ = best.eigen_threshold
        self.base_ = best.base
        self.curl_free_ = best.curl_free
        return best

    def _keep(self, fit: Any, n_samples: int) -> Self:
        super()._keep(fit, n_samples)
        if hasattr(self, "cv_results_"):
            self.best_params_ = {
                "eigen_threshold": self.eigen_threshold_,
                "alpha": self.alpha_,
                "bandwidth": self.bandwidth_,
                "shrinkage": self._best.shrinkage,
                "base": self.base_,
                "curl_free": self.curl_free_,
            }
            self.bandwidth_factor_ = self._best.bandwidth_factor
        return self


PARAMETERS = (
    "shrinkage",
    "bandwidth_factor",
    "curl_free",
    "base",
    "eigen_threshold",
    "alpha",
)
