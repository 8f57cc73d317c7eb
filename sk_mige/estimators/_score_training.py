"""A score estimator's parameters as a function of batches, for encoders to train with."""

from __future__ import annotations

import warnings
from functools import partial

import torch
from sklearn.base import BaseEstimator

from sk_mige.score import ScoreFunction, ssge

__all__ = ["BatchScoreMixin", "default_training_score"]

# With far fewer eigenfunctions an encoder collapses to the directions that they can express; see
# docs/guide/choosing.rst.
TRAINING_EIGEN_THRESHOLD = 0.999
# A ridge that does to a batch what this cut does; see docs/guide/gpu.rst.
TRAINING_RIDGE = 1e-4


def default_training_score(device: torch.device, mode: str) -> partial[torch.Tensor]:
    """SSGE cut off where training wants it, or on a card what takes least time there.

    On a card the eigenpairs of a few hundred rows are found in many small launches, which take
    longer than a small network's whole step; Cholesky's factorisation takes a fraction of that.
    The bottleneck's implicit conditionals, many small sets, are one batch and keep the cut.
    """
    if device.type == "cpu" or mode != "infomax":
        return partial(ssge, eigen_threshold=TRAINING_EIGEN_THRESHOLD)
    return partial(ssge, eigen_threshold=None, alpha=TRAINING_RIDGE, solver="cholesky")


class BatchScoreMixin(BaseEstimator):
    """What :class:`~sk_mige.MIGEEncoder` asks of its ``score_estimator``."""

    n_eigen: int | None
    eigen_threshold: float | None
    alpha: float | str
    bandwidth: float | str
    base: str | None

    def _warn_of_what_is_not_read(self) -> None:
        parameters = self.get_params(deep=False)
        defaults = type(self)().get_params(deep=False)
        asked = {
            name: parameters[name]
            for name in ("curl_free", "shrinkage", "base", "n_landmarks", "landmark_selection")
            if name in parameters and parameters[name] != defaults[name]
        }
        if self.base is None:  # as it is in a batch
            asked.pop("base", None)
        if asked:
            warnings.warn(
                f"score_estimator has {', '.join(f'{k}={v!r}' for k, v in asked.items())}, which "
                "training does not read: within a batch the score is SSGE's with its n_eigen, "
                "eigen_threshold, alpha and bandwidth",
                UserWarning,
                stacklevel=2,
            )

    def _training_score(
        self, device: torch.device | None = None, mode: str = "infomax"
    ) -> ScoreFunction:
        """The score function that MIGE applies to each batch: SSGE with these parameters.

        Within a batch the spectrum is cut off at ``eigen_threshold`` or regularised by a numeric
        ``alpha``; where neither is given, as it is where there is no estimator. Whitening and
        base belong to densities estimated once, not to a batch's joint kernel.
        """
        self._validate_params()  # fit, which checks, is not called
        self._warn_of_what_is_not_read()
        alpha = 0.0 if isinstance(self.alpha, str) else float(self.alpha)
        threshold = self.eigen_threshold
        if threshold is None and self.n_eigen is None and isinstance(self.alpha, str):
            where = device or torch.device("cpu")
            return partial(default_training_score(where, mode), bandwidth=self.bandwidth)
        if threshold is None and alpha == 0.0:
            threshold = TRAINING_EIGEN_THRESHOLD
        # Where nothing is cut off Cholesky's factorisation gives the same at a third of the cost,
        # as long as the ridge is above the rounding of the eigenvalues that eigh would leave out.
        uncut = self.n_eigen is None and (threshold is None or float(threshold) >= 1)
        return partial(
            ssge,
            n_eigen=self.n_eigen,
            eigen_threshold=threshold,
            bandwidth=self.bandwidth,
            alpha=alpha,
            solver="cholesky" if uncut and alpha >= 1e-5 else "eigh",
        )
