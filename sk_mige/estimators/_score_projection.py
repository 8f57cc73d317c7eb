"""RandomProjectionSSGE: kernel distances from a random projection."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from ._score import SSGEScoreEstimator

__all__ = ["RandomProjectionSSGE"]

AUTO_COMPONENTS = 512  # the paper's choice for images of 27,648 values


class RandomProjectionSSGE(SSGEScoreEstimator):
    r"""Scalable SSGE: the score, with kernel distances taken after a random projection.

    The kernel sees :math:`u = R y` in place of y, with R (k, d) random and norm-preserving, so
    that :math:`\|u - u'\|^2 \approx \|y - y'\|^2`. The base and the scores keep the original
    coordinates; what the kernel adds to the base lies in the span of R's rows, along which alone
    a function of u varies.

    A projection pays where distances are the cost: with more samples (or landmarks) than
    components, or when the same points are projected once and used often. For a single batch of
    n < k samples exact distances are cheaper. Inside :class:`~sk_mige.MIGEEncoder` it is the
    input x, never the representation z, that is projected.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Dimension k of the projection, at most the number of features; "auto" is the smaller of
        that and 512.
    projection : {"gaussian", "sparse"}, default="gaussian"
        :class:`~sklearn.random_projection.GaussianRandomProjection` or
        :class:`~sklearn.random_projection.SparseRandomProjection`, drawn once a fit.
    n_eigen : int, default=None
        See :class:`SSGEScoreEstimator`, as for all that follow.
    eigen_threshold : float in (0, 1], default=None
        Fraction of the spectrum that the kept eigenvalues reach.
    alpha : float or "auto", default="auto"
        Strength of Tikhonov's regularisation.
    bandwidth : "median" or float, default="median"
        Kernel width, in units of the projected coordinates.
    whiten : bool, default=True
        Estimate in coordinates of unit covariance; they, then, are projected.
    shrinkage : float in [0, 1], "auto" or "ledoit-wolf", default="auto"
        Shrinkage of the covariance.
    base : {"student", "gaussian"} or None, default="student"
        Elliptical score that the kernel expansion corrects.
    n_landmarks : int, "auto" or None, default="auto"
        Number of samples that serve as centres.
    landmark_selection : {"random", "kmeans++", "leverage"}, default="random"
        How landmarks are chosen.
    device : str or torch.device, default="auto"
        Where to compute.
    random_state : int, RandomState instance or None, default=None
        Draws the projection and the landmarks.

    Attributes
    ----------
    n_components_ : int
        Dimension k of the projection.
    components_ : ndarray of shape (`n_components_`, n_features)
        R.
    bandwidth_, alpha_, eigenvalues_, n_eigen_, shrinkage_, degrees_of_freedom_, mean_, centers_
        As in :class:`SSGEScoreEstimator`.
    n_samples_seen_ : int
        Number of rows that the fit rests on.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had them.

    See Also
    --------
    SSGEScoreEstimator : The same with exact distances.

    Notes
    -----
    The paper sums the samples' own coordinates where this estimator sums
    :math:`R^\top R (y_m - y)`, as Stein's identity for functions of u has it. With the former the
    error at fresh points grows with the number of samples.

    The paper also writes :math:`\|x - x'\| \approx \sqrt{d/k}\, \|R x - R x'\|`, for R with
    orthonormal rows. scikit-learn's projections preserve norms already: the factor is 1.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020, Eq. 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import RandomProjectionSSGE
    >>> X = np.random.default_rng(0).normal(size=(100, 2000))
    >>> estimator = RandomProjectionSSGE(n_components=64, random_state=0).fit(X)
    >>> estimator.transform(X).shape
    (100, 2000)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **SSGEScoreEstimator._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "projection": [StrOptions({"gaussian", "sparse"})],
    }
    _parameter_constraints.pop("curl_free")
    curl_free = False  # a projected potential has no gradient in the original coordinates

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        projection: str = "gaussian",
        n_eigen: int | None = None,
        eigen_threshold: float | None = None,
        alpha: float | str = "auto",
        bandwidth: float | str = "median",
        whiten: bool = True,
        shrinkage: float | str = "auto",
        base: str | None = "student",
        n_landmarks: int | str | None = "auto",
        landmark_selection: str = "random",
        device: str | torch.device = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.projection = projection
        self.n_eigen = n_eigen
        self.eigen_threshold = eigen_threshold
        self.alpha = alpha
        self.bandwidth = bandwidth
        self.whiten = whiten
        self.shrinkage = shrinkage
        self.base = base
        self.n_landmarks = n_landmarks
        self.landmark_selection = landmark_selection
        self.device = device
        self.random_state = random_state

    def _projection(self, n_features: int, like: Tensor, rng: Any) -> Tensor:
        self.components_ = self._draw(n_features, rng)
        self.n_components_ = self.components_.shape[0]
        return torch.from_numpy(self.components_).to(like)

    def _draw(self, n_features: int, rng: Any) -> NDArray[Any]:
        """Draw R (k, d) with scikit-learn."""
        if isinstance(self.n_components, str):
            k = min(n_features, AUTO_COMPONENTS)
        else:
            k = int(self.n_components)
        if k > n_features:
            raise ValueError(
                f"n_components={k} is more than the {n_features} features of X; a projection "
                f"has at most that many, and n_components='auto' takes min(n_features, "
                f"{AUTO_COMPONENTS})"
            )
        # Both projections read nothing of X but its number of columns.
        shape = np.broadcast_to(np.zeros(1), (1, n_features))
        if self.projection == "sparse":
            drawn = SparseRandomProjection(k, random_state=rng).fit(shape)
            return np.ascontiguousarray(drawn.components_.toarray())
        matrix: NDArray[Any] = GaussianRandomProjection(k, random_state=rng).fit(shape).components_
        return matrix

    def _training_projection(self, n_features: int, random_state: Any) -> NDArray[Any]:
        """Projection (k, d) that MIGEEncoder applies to its inputs, drawn once a fit."""
        return self._draw(n_features, check_random_state(random_state))
