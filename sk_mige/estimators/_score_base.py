"""What score estimators of kernel sections share: landmarks, devices, fitted attributes."""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige.score import ScoreFit, ScoreModel, ScoreSettings
from sk_mige.training.device import resolve_device

from ._base import DocLinkMixin
from ._rows import to_tensor, warn_of_outliers
from ._score_landmarks import LandmarkAccumulator, choose_landmarks, frame_rows
from ._score_queries import ScoreQueriesMixin

__all__ = ["BaseScoreEstimator"]

# Dense fits hold several (n, n) float64 matrices: 128 MiB each at this size, 29 GB in all at
# 60,000 rows.
MAX_DENSE_ROWS = 4_000
AUTO_LANDMARKS = 1_000


class BaseScoreEstimator(
    DocLinkMixin,
    ScoreQueriesMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base class; subclasses say which settings they fit with."""

    n_landmarks: int | str | None
    landmark_selection: str
    device: str | torch.device
    random_state: Any
    n_features_in_: int

    def _settings(self) -> ScoreSettings:
        """Settings of the next fit."""
        raise NotImplementedError

    def _projection(self, n_features: int, like: Tensor, rng: Any) -> Tensor | None:
        """Projection of the kernel's coordinates; this class has none."""
        return None

    def _compute_device(self) -> torch.device:
        device = resolve_device(self.device)
        if device.type == "mps":
            raise ValueError(
                "device='mps' has no float64, which the eigendecompositions need: use 'cpu', or "
                "sk_mige.score.ssge on MPS tensors"
            )
        return device

    def _given_landmarks(self) -> int | None:
        """Number of landmarks that was asked for, in Python's or NumPy's integers."""
        if isinstance(self.n_landmarks, str) or self.n_landmarks is None:
            return None
        return int(self.n_landmarks)

    def _check_landmarks(self, n_samples: int) -> None:
        given = self._given_landmarks()
        if given is not None and given > n_samples:
            raise ValueError(
                f"n_landmarks={given} is more than the {n_samples} rows to choose "
                "them from; pass at most that many, or None to use every row"
            )

    def _n_centers(self, n_samples: int) -> int | None:
        """Number of landmarks, or None where every row is a centre."""
        if self.n_landmarks is None:
            return None
        if isinstance(self.n_landmarks, str):
            if n_samples <= MAX_DENSE_ROWS:
                return None
            warnings.warn(
                f"{n_samples} rows are beyond the {MAX_DENSE_ROWS} of a dense fit: "
                f"{AUTO_LANDMARKS} of them serve as landmarks. Set n_landmarks={AUTO_LANDMARKS} "
                "to do so silently, or None for all rows.",
                UserWarning,
                stacklevel=5,
            )
            return AUTO_LANDMARKS
        return int(self.n_landmarks)

    def _new_accumulator(self, X: Any, n_centers: int, rng: Any) -> LandmarkAccumulator:
        """Choose landmarks among X and freeze whitening, base and bandwidth on it."""
        rows = frame_rows(X.shape[0], X.shape[1], n_centers, rng)
        x = to_tensor(X[rows], self._compute_device())
        exact = x.to(torch.float64)
        if self._settings().whiten:
            warn_of_outliers(exact)
        picked = choose_landmarks(exact.cpu().numpy(), n_centers, self.landmark_selection, rng)
        projection = self._projection(X.shape[1], exact, rng)
        landmarks = torch.from_numpy(picked).to(x.device)
        return LandmarkAccumulator.from_rows(x, landmarks, self._settings(), projection)

    def _keep(self, fit: ScoreFit, n_samples: int) -> Self:
        """Set the fitted attributes."""
        self._keep_model(fit.model, n_samples)
        self.alpha_ = fit.alpha
        self.eigenvalues_ = fit.eigenvalues.cpu().numpy()
        self.n_eigen_ = fit.n_eigen
        self.degrees_of_freedom_ = fit.model.expansion.base.dof
        return self

    def _keep_model(self, model: ScoreModel, n_samples: int) -> None:
        """Set the attributes that every model has."""
        self._model = model
        expansion = model.expansion
        self.bandwidth_ = expansion.bandwidth
        self.shrinkage_ = expansion.whitening.shrinkage
        span = model.span
        mean = expansion.whitening.mean if span is None else span.origin
        self.mean_ = mean.cpu().numpy()
        self.n_samples_seen_ = n_samples
        self._n_features_out = self.n_features_in_

    @property
    def centers_(self) -> Any:
        """Centres of the kernel in input coordinates."""
        check_is_fitted(self, "bandwidth_")
        return self._centers_in_input().cpu().numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
