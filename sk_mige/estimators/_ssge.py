"""Spectral Stein Gradient Estimator (SSGE) of the score, with and without a random projection."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.objectives.score import TRAINING_EIGEN_THRESHOLD, default_training_score
from sk_mige.score import ScoreFunction, ScoreModel, ScoreSettings, fit_dense, ssge
from sk_mige.score.fit import ScoreFit
from sk_mige.score.heldout import KernelSums
from sk_mige.score.kernels import KERNELS, Kernel, resolve_kernel
from sk_mige.score.landmarks import LandmarkAccumulator, joined

from ._base import expect_unchanged
from ._rows import check_samples, is_dask, scores_like, to_tensor
from ._score_base import (
    AUTO_LANDMARKS,
    BaseScoreEstimator,
    representative_rows,
    warn_of_dense_fit,
)

AUTO_COMPONENTS = 512  # number used in the paper for images of 27,648 values
# A first batch of n < FEWEST_LANDMARKS rows is too small for a stream of more than
# ROWS_PER_LANDMARK * n rows.
FEWEST_LANDMARKS, ROWS_PER_LANDMARK = 100, 10


class SSGEScoreEstimator(BaseScoreEstimator):
    r"""Estimate the score :math:`\nabla_x \log q(x)` of a density from its samples.

    The estimator is the Spectral Stein Gradient Estimator (SSGE) [1]_, written as kernel score
    matching on whitened data. A kernel expansion corrects the score of a parametric base density.
    By default, the regularisation strength is chosen on held-out samples.

    .. math:: \hat g(x) = W\big[-w(\|y\|^2)\, y\big] + \sum_m k(y, y_m)\, C_m,
              \qquad y = W (x - \mu), \quad k(y, y') = e^{-\|y - y'\|^2 / 2\sigma^2} .

    The score of the base in whitened coordinates y is :math:`-w(\|y\|^2)\, y`. W is the whitening
    matrix, and the points :math:`y_m` are the whitened samples or landmarks.

    Let :math:`K = U \Lambda U^\top` be the Gram matrix of n samples Y, and
    :math:`G = K Y - \operatorname{diag}(K 1) Y`. With another ``kernel`` k(u) of
    :math:`u = \|y - y'\|^2 / \sigma^2`, the slopes :math:`-2\, k'(u)` replace K in G.
    Without base and whitening, the coefficients are

    .. math:: C = \sigma^{-2}\, U\, \Lambda^{-1} h(\Lambda)\, U^\top G,
              \qquad h(\lambda) = \frac{1[\lambda \text{ kept}]}{\lambda + n \alpha} .

    **The published estimator** is ``SSGEScoreEstimator(eigen_threshold=0.99, whiten=False,
    base=None)``. The MIGE paper [3]_ uses a threshold of 0.94 for the information bottleneck.

    Parameters
    ----------
    n_eigen : int, default=None
        Number J of leading eigenpairs to keep. If ``n_eigen`` is given, ``eigen_threshold`` is
        ignored.
    eigen_threshold : float in (0, 1], default=None
        Fraction of the spectrum: the largest eigenvalues are kept until their sum reaches this
        fraction of the total. If ``eigen_threshold`` and ``n_eigen`` are None, all eigenpairs are
        kept, and only ``alpha`` regularises the fit. With nearly all eigenpairs and no ``alpha``,
        as with a fraction of 1, errors can exceed the scores by orders of magnitude.
    alpha : float or "auto", default="auto"
        Tikhonov regularisation strength, relative to the trace of the kernel operator.

        - With 0 and no spectral cutoff, the fit is not regularised. Rounding errors then dominate.
        - With a spectral cutoff, "auto" means 0. Without a cutoff, "auto" chooses the strength by
          Hyvärinen's loss [2]_ on three held-out folds. With fewer than 12 samples, "auto" means
          0.1.
        - Dense fits to at most 2,000 samples refit whitening and base in each fold. The bandwidth
          is computed once, from all samples. With whitening, the loss is computed in units of the
          features' standard deviations, so that the choice does not depend on units.
        - With ``inf``, the estimate is the score of the base, without a kernel correction. The
          value "auto" may choose ``inf``.
    bandwidth : "median" or float, default="median"
        Kernel width σ: the median distance between the centres of the kernel, or a number. A number
        is in units of standard deviations if ``whiten=True``, and otherwise in the units of the
        data.
    whiten : bool, default=True
        If True, estimate the score in coordinates with unit covariance, and map the score back to
        input coordinates. With True, the accuracy does not depend on the units of the features.
        False suits features with a common unit, such as pixels.
    shrinkage : float in [0, 1] or "auto", default="auto"
        Shrinkage intensity ρ of the covariance. Shrinkage keeps variances and multiplies
        covariances by 1 - ρ.

        - With an intensity of 0 and a given ``alpha``, the estimate is exactly equivariant under
          affine maps, and needs about three samples per feature. With ``alpha="auto"``, the chosen
          strength can change with rotations.
        - With an intensity of 1, whitening only divides features by their standard deviations.
        - With "auto", the intensity maximises the leave-one-out Gaussian likelihood. If the
          samples form separate groups, ``kernel="auto"`` also tries the intensity 1.
    base : {"student", "gaussian"} or None, default="student"
        Elliptical base density, whose score the kernel expansion corrects. Far from all samples,
        the estimate approaches the score of the base. With "student", the degrees of freedom are
        chosen between 3 and infinity. With ``None``, as in the published estimator, the estimate
        approaches zero far from all samples.
    curl_free : bool, default=False
        Whether to expand the log-density instead of the score, so that the estimate is a gradient.
        In few dimensions, a curl-free estimate can be more accurate.
    n_landmarks : int, "auto" or None, default="auto"
        Number of landmarks, the samples that serve as centres of the kernel. With a number, the
        time is linear in the number of rows, and the memory does not depend on the number of rows.

        - "auto" uses all rows if there are at most 5,000. For more rows, "auto" uses 1,000
          landmarks and warns. With a spectral cutoff, ``alpha=0`` or ``curl_free=True``, the limit
          is 2,000 rows.
        - With ``None``, all rows are centres.
        - For streams and Dask arrays, "auto" and ``None`` use up to 1,000 landmarks.
    kernel : {"auto", "rbf", "imq", "matern", "multiscale"} or Kernel, default="auto"
        Radial kernel k(u).

        - "auto" chooses between the RBF and ``Matern(nu=1.5)``, on the same folds as ``alpha``. The
          Matérn kernel resolves detail below the bandwidth, such as separate modes. The Matérn
          kernel is used if its loss is lower than the loss of the RBF by two standard errors of the
          difference. If the samples form separate groups, ``shrinkage="auto"`` adds a candidate,
          the Matérn kernel with shrinkage 1. Groups are found by nearest neighbours of up to 128
          samples. "auto" is the RBF for a single feature, fewer than 12 samples, a spectral cutoff
          or a given ``alpha``.
        - "rbf" is the Gaussian kernel of the published estimator.
        - "imq" is the inverse multiquadric :math:`(1 + u)^{-1/2}`, whose tails are heavy. With
          "imq", the correction to the base decays as the inverse of the distance from the samples,
          or faster with ``curl_free=True``.
        - "matern" is the Matérn kernel of smoothness 5/2, for scores that change abruptly.
        - "multiscale" is the mean of RBFs of widths σ/2, σ and 2σ.
        - Kernel objects from :mod:`sk_mige.score`, such as ``Matern(nu=1.5)``, have further
          parameters.
    device : str or torch.device, default="auto"
        Device of the computation. The value "auto" selects CUDA if there is a GPU, and the CPU
        otherwise. MPS raises an error, because MPS has no float64.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the choice of landmarks. A fit with landmarks estimates whitening and
        base from rows that are also drawn at random. No other step is random.

    Attributes
    ----------
    bandwidth_ : float
        Kernel width σ.
    alpha_ : float
        Tikhonov strength, which is infinite if only the base is used.
    kernel_ : Kernel
        Kernel of the fit.
    eigenvalues_ : ndarray of shape (r,)
        Eigenvalues of the kernel operator in descending order, divided by their sum.
    n_eigen_ : int
        Number of eigenpairs used. A ridge also uses eigenvalues below rounding errors, which
        ``eigenvalues_`` omits.
    shrinkage_ : float
        Shrinkage intensity of the covariance, which is 1 if ``whiten=False``.
    degrees_of_freedom_ : float or None
        Degrees of freedom of the base: infinite for a Gaussian, None without a base.
    mean_ : ndarray of shape (n_features,)
        Mean μ of the samples, without rows of extreme values.
    centers_ : ndarray of shape (n_centers, n_features)
        Centres of the kernel in input coordinates: all samples, or the landmarks. No other rows
        of the data are kept.
    n_samples_seen_ : int
        Number of rows used by the fit.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    SSGEScoreEstimatorCV : Chooses bandwidth, regularisation, base and whitening by
        cross-validation.
    RandomProjectionSSGE : Computes kernel distances after a random projection.
    sk_mige.score.ssge : Published estimator for batches of tensors.

    Notes
    -----
    A dense fit to n samples of d features takes time O(n² d + n³). A fit with m landmarks takes
    time O(n m (m + d) + m³).

    *Separate modes.* If modes are distant, the median distance is about the distance between modes,
    and the RBF is too wide for each mode. ``kernel="auto"`` can choose a Matérn kernel for such
    samples. The covariance of all rows describes the distances between the modes, not their shapes,
    so a shrinkage of 1 can also be chosen. :class:`SSGEScoreEstimatorCV` also chooses the
    bandwidth.

    *Differences of scores*, such as the gradient of mutual information, need ``shrinkage=0.0`` and
    ``base="gaussian"`` for all scores, as in :func:`sk_mige.information.whitened_scores`. Shrinkage
    makes the difference between a joint score and a marginal score too small. See the guide to
    scores for an example.

    *The number of landmarks* often has a larger effect than any other setting. Doubling the number
    of landmarks makes a fit two to eight times slower. Increase the number as long as :meth:`score`
    on held-out rows increases. With ``n_landmarks="auto"``, :class:`SSGEScoreEstimatorCV` tries
    larger numbers.

    If a column is constant or a linear combination of other columns, the samples have a density
    only in a subspace, which the fit finds. A point outside the subspace has the score of the
    nearest point in the subspace. In a stream, the first batch determines the subspace.

    A warning is given if a few outliers, such as -9999 for a missing value, dominate the variance
    of a feature. Outliers are more than 20 interquartile ranges from the median, and extreme values
    are more than 100 interquartile ranges from the median. If rows with extreme values are few,
    means and covariances are computed without these rows.

    Leave out columns of classes or counts, because discrete values have no density. Missing values
    raise an error.

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
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "base": [StrOptions({"student", "gaussian"}), None],
        "curl_free": ["boolean"],
        "n_landmarks": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
        "kernel": [StrOptions({"auto", *KERNELS}), Kernel],
        "device": [str, torch.device],
        "random_state": ["random_state"],
    }

    _accumulator: LandmarkAccumulator | None = None
    # Values of the parameters that the first batch of a stream fixes, or None in older files.
    _fixed: dict[str, Any] | None = None

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
        kernel: Kernel | str = "auto",
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
        self.kernel = kernel
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: None = None) -> Self:
        """Fit to samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two. For a Dask array, the Dask scheduler computes the kernel sums of
            each chunk in a separate task.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If X has fewer than two distinct rows, fewer rows than landmarks, or values that are
            not finite.

        Warns
        -----
        UserWarning
            If one of these conditions holds:

            - The rows have no density, because all norms are equal, or because columns satisfy a
              quadratic equation.
            - One value is in at least 3 % and 10 of the rows of a column, and most other values of
              the column are distinct, as for a column with many zeros.
            - The range of a float32 column is less than 16 spacings of float32 numbers.
            - The density of a column is probably positive at an end.
            - A few outliers dominate the scale of a feature.
            - Successive rows are close to each other, as in a Markov chain.
            - Landmarks are used because there are many rows.
            - A dense fit has more than 20,000 rows.
        """
        if is_dask(X):
            return self._fit_dask(X)
        self._fit(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: None = None) -> Any:
        """Fit to samples and estimate the scores at the same samples.

        The result equals ``fit(X).transform(X)``. Without landmarks, the time is shorter,
        because the kernel matrix of the fit is reused.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Scores in input coordinates, in float32 if X is float32, else in float64.
        """
        if is_dask(X):
            return self.fit(X).transform(X)
        X, fit = self._fit(X)
        if self._n_centers(X.shape[0]) is not None:
            return scores_like(self._by_chunks(ScoreModel.score, X, X.shape), X)
        return scores_like(fit.scores(to_tensor(X, self._model.coefficients.device)), X)

    def _fit(self, X: Any) -> tuple[Any, ScoreFit]:
        """Set the fitted attributes, and return the validated samples and the fit."""
        self._accumulator = None
        X = self._check_training(X)
        n, d = X.shape
        n_centers = self._n_centers(n)
        self._warn_of_landmarks(n, n_centers)
        rng = check_random_state(self.random_state)
        if n_centers is None:
            warn_of_dense_fit(n)
            x = to_tensor(X, self._compute_device())
            self._check_scales(x)
            fit = fit_dense(x, self._settings(), projection=self._projection(d, x, rng))
        else:
            fit = self._fit_landmarks(X, n_centers, rng).solve(self._settings())
        self._keep(fit, n)
        return X, fit

    def _settings(self) -> ScoreSettings:
        names = ("n_eigen", "eigen_threshold", "alpha", "bandwidth", "whiten", "shrinkage", "base")
        given = {name: getattr(self, name) for name in (*names, "curl_free")}
        # Searches over np.linspace pass NumPy scalars, which tensors reject.
        return ScoreSettings(
            **{k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()},
            kernel="auto" if self.kernel == "auto" else resolve_kernel(self.kernel),
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: None = None) -> Self:
        """Update the fit with further rows of a stream.

        The first call chooses up to ``n_landmarks`` landmarks among its rows, or up to 1,000 for
        "auto" and None. The first call also fixes whitening, base, kernel and bandwidth. The rows
        of the first call should therefore be a representative sample. Later calls add the kernel
        sums of their rows. Every call solves for the coefficients, while :meth:`fit_batches` solves
        only once.

        Changes of ``alpha``, ``n_eigen`` and ``eigen_threshold`` apply to all rows from the next
        call on. A change of another parameter between batches raises an error.

        A fit to an array by :meth:`fit` stores no sums. After :meth:`fit`, ``partial_fit`` starts a
        new stream.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Further samples, at least two in the first call.
        y : None
            Ignored.

        Returns
        -------
        self
            The estimator, fitted to all rows so far.

        Raises
        ------
        ValueError
            If X is invalid, or if a parameter was changed that the first call fixed. The sums of
            earlier calls remain unchanged.

        Warns
        -----
        UserWarning
            If most rows are far from the rows of the first call, provided that there are at least
            20 rows and 20 landmarks. The warning is also given if a first call of fewer than 100
            rows contains less than a tenth of the stream. A column, or linear combination of
            columns, that was constant in the first call and varies later also gives the warning.
        """
        self._absorb(X)
        return self._solve_stream()

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Iterable[Any]) -> Self:
        """Fit to a stream of batches, such as a generator that reads files, in one pass.

        Parameters
        ----------
        batches : iterable of array-likes of shape (n_samples, n_features)
            Batches of samples. The first batch should be a representative sample, because the first
            batch determines landmarks, whitening, base, kernel and bandwidth.

        Returns
        -------
        self
            The fitted estimator. If an exception or Ctrl-C ends the stream, the estimator is fitted
            to the batches read so far before the exception is raised.

        Raises
        ------
        ValueError
            If ``batches`` is empty or a single array, or if a batch is invalid.

        Warns
        -----
        UserWarning
            If the first batch is not representative, as in :meth:`partial_fit`.
        """
        if getattr(batches, "ndim", 3) < 3:
            raise ValueError(
                "batches must be an iterable of arrays of shape (n_samples, n_features), but is a "
                f"single array of shape {tuple(getattr(batches, 'shape', ()))}. Call fit, or pass "
                "a list of batches"
            )
        if not (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")):
            hint = "call the function" if callable(batches) else "pass a list or a generator"
            raise TypeError(
                "batches must be an iterable of arrays of shape (n_samples, n_features), got "
                f"{type(batches).__name__}: {hint}"
            )
        self._accumulator = None
        arrived = False
        try:
            for batch in batches:
                self._absorb(batch)
                arrived = True
        finally:
            if arrived:
                self._solve_stream()
        if not arrived:
            raise ValueError("batches is empty: pass at least one batch of two rows or more")
        return self

    def merge(self, other: Self) -> Self:
        """Add the kernel sums of another estimator with the same landmarks.

        The two estimators must be copies of one estimator. First call ``partial_fit`` with a first
        batch, and copy the estimator to every worker with :func:`copy.deepcopy`. Then call
        :meth:`forget` and ``partial_fit`` on every copy. Merge each copy into the first estimator.

        Parameters
        ----------
        other : estimator of the same class
            Estimator with the same landmarks, whitening, base and bandwidth.

        Returns
        -------
        self
            The estimator, fitted to the rows of both estimators.

        Raises
        ------
        TypeError
            If ``other`` is not an :class:`SSGEScoreEstimator`.
        ValueError
            If an estimator stores no sums, if the first batches differ, or if parameters fixed by
            the first batch were changed. The sums remain unchanged.
        """
        if not isinstance(other, SSGEScoreEstimator):
            raise TypeError(f"other must be an SSGEScoreEstimator, got {type(other).__name__}")
        mine, theirs = self._accumulator_or_raise(), other._accumulator_or_raise()
        difference = mine.difference(theirs)
        if difference is not None:
            raise ValueError(
                f"cannot merge: the two estimators have different {difference}. Call "
                "partial_fit once, copy the estimator with copy.deepcopy, and call forget() and "
                "partial_fit on each copy"
            )
        mine.join(theirs.fold_sums)
        return self._solve_stream()

    def forget(self) -> Self:
        """Reset the sums, but keep landmarks, whitening, base and bandwidth.

        Returns
        -------
        self
            The estimator, whose next ``partial_fit`` starts from zero rows.
        """
        self._accumulator_or_raise().fold_sums = []
        return self

    def _accumulator_or_raise(self) -> LandmarkAccumulator:
        """Return the sums, or raise if there are none or if a fixed parameter has changed."""
        if self._accumulator is None:
            raise ValueError(
                f"this {type(self).__name__} has no sums of a stream: call partial_fit or "
                "fit_batches instead of fit"
            )
        now = self._fixed_parameters()
        # Files of earlier versions lack newer parameters, which then have default values.
        defaults = type(self)().get_params(deep=False)
        expect_unchanged(
            {**defaults, **(now if self._fixed is None else self._fixed)},
            now,
            "the first batch of the stream fixed the landmarks, the whitening, the base and the "
            "bandwidth. Restore the old value, or start a new stream with fit_batches or a clone "
            "of this estimator",
        )
        return self._accumulator

    def _fixed_parameters(self) -> dict[str, Any]:
        """Return the parameters that cannot change within a stream."""
        solved_anew = {"alpha", "n_eigen", "eigen_threshold"}
        given = self.get_params(deep=False)
        return {name: value for name, value in given.items() if name not in solved_anew}

    def _absorb(self, X: Any) -> None:
        """Add a batch to the accumulator, which the first batch creates."""
        first = self._accumulator is None
        if first:
            X = self._check_training(X)
            wanted = self._given_landmarks() or AUTO_LANDMARKS
            rng = check_random_state(self.random_state)
            accumulator = self._new_accumulator(X, min(wanted, X.shape[0]), rng)
            self._fixed = self._fixed_parameters()
        else:
            X = check_samples(self, X, reset=False)
            accumulator = self._accumulator_or_raise()
        rows = to_tensor(X, self._compute_device())
        before = accumulator.n_samples
        accumulator.add(rows)
        self._accumulator = accumulator
        if not first:
            self._check_first_batch(accumulator, rows, before)

    def _check_first_batch(self, accumulator: LandmarkAccumulator, x: Tensor, before: int) -> None:
        """Warn if the first batch was too small, or if further rows are far from its rows."""
        n_landmarks = len(accumulator.expansion.centers)
        wanted = min(self._given_landmarks() or AUTO_LANDMARKS, FEWEST_LANDMARKS)
        many = ROWS_PER_LANDMARK * n_landmarks
        if n_landmarks < wanted and before <= many < accumulator.n_samples:
            warn_user(
                f"the stream has {accumulator.n_samples} rows, but only {n_landmarks} landmarks, "
                f"because the first batch had {n_landmarks} rows. The first batch also determines "
                "whitening, base and bandwidth. Pass a larger first batch"
            )
        elif accumulator.excludes(x):
            warn_user(
                f"most of the {len(x)} rows are far from the rows of the first batch, which "
                "determines landmarks, whitening, base and bandwidth. Shuffle the rows of the "
                "stream, or pass a larger first batch"
            )
        elif accumulator.leaves_subspace(x):
            warn_user(
                "a column, or a linear combination of columns, varies in this batch, but was "
                "constant in the first batch. The estimated score has no component along this "
                "direction. Pass a larger first batch, in which these values vary"
            )

    def _solve_stream(self) -> Self:
        accumulator = self._accumulator_or_raise()
        return self._keep(accumulator.solve(self._settings()), accumulator.n_samples)

    def _fit_dask(self, X: Any) -> Self:
        """Compute the sums of each chunk in a separate task, and add the sums."""
        dask: Any = import_module("dask")  # installed, because X is a Dask array

        self._accumulator = None
        if any(np.isnan(size) for sizes in X.chunks for size in sizes):
            raise ValueError(
                "the chunks of X are of unknown size: call X.compute_chunk_sizes() first"
            )
        X = X.rechunk({1: X.shape[1]})
        self._check_landmarks(X.shape[0])
        rng = check_random_state(self.random_state)
        n_centers = min(self._given_landmarks() or AUTO_LANDMARKS, X.shape[0])
        # Chunks may be sorted, so rows are drawn from all chunks, as in a fit to an array.
        wanted = representative_rows(X.shape[0], X.shape[1], n_centers, rng)
        sample = self._check_training(X[wanted].compute())
        accumulator = self._new_accumulator(sample, n_centers, rng)
        offsets = np.cumsum([0, *X.chunks[0][:-1]])
        tasks = [
            dask.delayed(_block_sums)(accumulator, block, int(offset))
            for block, offset in zip(X.to_delayed().ravel(), offsets, strict=True)
        ]
        while len(tasks) > 1:  # add in pairs, on the workers
            tasks = [dask.delayed(joined)(*tasks[i : i + 2]) for i in range(0, len(tasks), 2)]
        (fold_sums,) = dask.compute(tasks[0])
        accumulator.join(fold_sums)
        return self._keep(accumulator.solve(self._settings()), accumulator.n_samples)

    def _training_score(self, mode: str = "infomax") -> ScoreFunction:
        """Return the score function that an encoder applies to each batch.

        The function is SSGE with ``n_eigen``, ``eigen_threshold``, ``alpha``, ``bandwidth`` and
        ``kernel``. If no parameter sets a regularisation, the encoders' default regularisation is
        used. Whitening and base are not used, because the joint kernel of a batch has no whitening
        and no base.
        """
        self._validate_params()  # fit, which validates parameters, is not called
        self._warn_of_unused_parameters()
        kernel = "rbf" if self.kernel == "auto" else self.kernel
        alpha = 0.0 if isinstance(self.alpha, str) else float(self.alpha)
        threshold = self.eigen_threshold
        if threshold is None and self.n_eigen is None and isinstance(self.alpha, str):
            return partial(default_training_score(mode), bandwidth=self.bandwidth, kernel=kernel)
        if threshold is None and alpha == 0.0:
            threshold = TRAINING_EIGEN_THRESHOLD
        # Without a cutoff, a Cholesky factorisation gives the same scores in less time.
        # The ridge must exceed the rounding errors of the small eigenvalues.
        uncut = self.n_eigen is None and (threshold is None or float(threshold) >= 1)
        return partial(
            ssge,
            n_eigen=self.n_eigen,
            eigen_threshold=threshold,
            bandwidth=self.bandwidth,
            alpha=alpha,
            kernel=kernel,
            solver="cholesky" if uncut and alpha >= 1e-5 else "eigh",
        )

    def _training_projection(self, n_features: int, seed: int, n_rows: int) -> Tensor | None:
        """Return a projection (k, d) of x, or None for exact distances."""
        return None

    def _warn_of_unused_parameters(self) -> None:
        """Warn about parameters that have no effect on the training of an encoder."""
        parameters = self.get_params(deep=False)
        defaults = type(self)().get_params(deep=False)
        unused = {
            name: parameters[name]
            for name in ("curl_free", "shrinkage", "base", "n_landmarks")
            if name in parameters and parameters[name] != defaults[name]
        }
        if self.base is None:  # training uses no base
            unused.pop("base", None)
        if unused:
            warn_user(
                f"score_estimator has {', '.join(f'{k}={v!r}' for k, v in unused.items())}, which "
                "training does not use. The score of a batch depends only on n_eigen, "
                "eigen_threshold, alpha, bandwidth, kernel and a random projection. Leave other "
                "parameters at their defaults"
            )


def as_score_estimator(estimator: SSGEScoreEstimator | None) -> SSGEScoreEstimator:
    """Return the score estimator, where None means the default estimator."""
    return SSGEScoreEstimator() if estimator is None else estimator


def _block_sums(accumulator: LandmarkAccumulator, block: Any, offset: int) -> list[KernelSums]:
    """Compute the sums of one chunk on a worker."""
    block = np.asarray(block)
    if not np.isfinite(block).all():
        raise ValueError(
            f"the chunk of X that starts at row {offset} has values that are not finite: drop "
            "their rows, or impute the values"
        )
    x = to_tensor(block, accumulator.expansion.centers.device)
    return accumulator.sums_of(x)


class RandomProjectionSSGE(SSGEScoreEstimator):
    r"""Scalable SSGE, with kernel distances between randomly projected samples.

    The kernel uses the coordinates :math:`u = R y` in place of the whitened coordinates y. The
    random matrix R (k, d) approximately preserves norms, so that
    :math:`\|u - u'\|^2 \approx \|y - y'\|^2`. The base depends on all coordinates y. The correction
    to the base depends only on u.

    A projection saves time if k is much smaller than the number of features and the number of
    samples or landmarks.

    :class:`~sk_mige.MIGEEncoder` projects its inputs x, and never the representation z. If
    ``n_components`` is at least ``batch_size``, a warning is given.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Dimension k of the projection, at most the number of features. The value "auto" means the
        number of features, but at most 512. In :class:`~sk_mige.MIGEEncoder`, "auto" uses exact
        distances instead if the batch size or the number of features is at most 512.
    projection : {"gaussian", "sparse"}, default="gaussian"
        Kind of projection, :class:`~sklearn.random_projection.GaussianRandomProjection` or
        :class:`~sklearn.random_projection.SparseRandomProjection`. The projection is drawn once per
        fit.
    n_eigen : int, default=None
        Number of leading eigenpairs to keep. :class:`SSGEScoreEstimator` describes ``n_eigen`` and
        all following parameters.
    eigen_threshold : float in (0, 1], default=None
        Fraction of the spectrum to keep.
    alpha : float or "auto", default="auto"
        Tikhonov regularisation strength.
    bandwidth : "median" or float, default="median"
        Kernel width: the median distance between projected centres, or a number in the units of the
        projected coordinates.
    whiten : bool, default=True
        Whether to whiten the samples before the projection.
    shrinkage : float in [0, 1] or "auto", default="auto"
        Shrinkage intensity of the covariance.
    base : {"student", "gaussian"} or None, default="student"
        Elliptical base density, whose score the kernel expansion corrects.
    n_landmarks : int, "auto" or None, default="auto"
        Number of samples that serve as centres of the kernel.
    kernel : {"auto", "rbf", "imq", "matern", "multiscale"} or Kernel, default="auto"
        Radial kernel of the projected coordinates.
    device : str or torch.device, default="auto"
        Device of the computation.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the projection and the choice of landmarks.

    Attributes
    ----------
    n_components_ : int
        Dimension k of the projection.
    components_ : ndarray of shape (`n_components_`, n_features)
        Projection R.
    bandwidth_, alpha_, kernel_, eigenvalues_, n_eigen_, shrinkage_, degrees_of_freedom_, mean_
        Same as in :class:`SSGEScoreEstimator`.
    centers_ : ndarray of shape (n_centers, n_features)
        Centres of the kernel in input coordinates.
    n_samples_seen_ : int
        Number of rows used by the fit.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has feature names.

    See Also
    --------
    SSGEScoreEstimator : The same estimator with exact distances.

    Notes
    -----
    Stein's identity for functions of u leads to sums of :math:`R^\top R (y_m - y)`. The MIGE paper
    sums :math:`y_m - y` instead.

    The MIGE paper also uses :math:`\|x - x'\| \approx \sqrt{d/k}\, \|R x - R x'\|` for R with
    orthonormal rows. The projections of scikit-learn preserve norms without a factor.

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
    curl_free = False  # the correction is not a gradient in input coordinates

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
        kernel: Kernel | str = "auto",
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
        self.kernel = kernel
        self.device = device
        self.random_state = random_state

    def _projection(self, n_features: int, like: Tensor, rng: Any) -> Tensor:
        self.components_ = self._draw(n_features, rng)
        self.n_components_ = self.components_.shape[0]
        return torch.from_numpy(self.components_).to(like)

    def _draw(self, n_features: int, rng: Any) -> NDArray[Any]:
        """Draw the projection R (k, d) with scikit-learn."""
        if isinstance(self.n_components, str):
            k = min(n_features, AUTO_COMPONENTS)
        else:
            k = int(self.n_components)
        if k > n_features:
            raise ValueError(
                f"n_components={k} is more than the {n_features} features of X; pass at most "
                f"{n_features}, or n_components='auto', which is min(n_features, {AUTO_COMPONENTS})"
            )
        # scikit-learn's projections depend only on the number of columns of X.
        shape = np.broadcast_to(np.zeros(1), (1, n_features))
        sparse = self.projection == "sparse"
        kind = SparseRandomProjection if sparse else GaussianRandomProjection
        drawn = kind(k, random_state=rng).fit(shape).components_
        return np.ascontiguousarray(drawn.toarray() if sparse else drawn)

    def _training_projection(self, n_features: int, seed: int, n_rows: int) -> Tensor | None:
        """Return a projection (k, d) for batches of ``n_rows`` rows, or None for exact distances.

        Exact distances take less time if k ≥ min(n_rows, n_features).
        """
        if isinstance(self.n_components, str):
            if min(n_rows, n_features) <= AUTO_COMPONENTS:
                return None
        elif int(self.n_components) >= n_rows:
            warn_user(
                f"the projection to n_components={self.n_components} dimensions takes longer than "
                f"the computation of exact distances in batches of {n_rows} rows. Use fewer "
                f"components, for example {max(1, n_rows // 4)}, or n_components='auto', which "
                "projects only if a projection saves time"
            )
        # With a copy of the generator, a continued training draws the same projection again.
        own = copy.deepcopy(self.random_state)
        drawn = self._draw(n_features, check_random_state(seed if own is None else own))
        return torch.as_tensor(drawn, dtype=torch.float32, device="cpu")
