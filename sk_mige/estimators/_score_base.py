"""Base class of score estimators, with and without landmarks."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige._arrays import readable
from sk_mige._warnings import warn_user
from sk_mige.score import ScoreModel, ScoreSettings
from sk_mige.score.density import LogDensity
from sk_mige.score.fit import MAX_EIGH_ROWS, ScoreFit, spectrum_of
from sk_mige.score.landmarks import LandmarkAccumulator
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.posterior import ScoreErrors, score_errors
from sk_mige.score.sampling import confined_score, langevin
from sk_mige.training.device import available_device, resolve_device

from ._rows import (
    by_blocks,
    check_density,
    check_finite,
    check_samples,
    check_spread,
    is_dask,
    like_input,
    row_chunks,
    scores_like,
    to_tensor,
)
from ._stored import to_stored, to_tensors

# Dense fits store several (n, n) float64 matrices, each of 200 MB for 5,000 rows.
MAX_DENSE_ROWS = 5_000
AUTO_LANDMARKS = 1_000
# A warning is given before dense fits of more than LARGEST_DENSE_ROWS rows. Fits of 4,000 rows need
# BYTES_OF_A_PAIR bytes for each pair of rows.
LARGEST_DENSE_ROWS, BYTES_OF_A_PAIR = 20_000, 40
# Number of rows from which whitening and base are estimated, and landmarks are chosen.
REPRESENTATIVE_ROWS = 10_000
# A warning is given if the noise exceeds NOISIER times the standard deviation of the rows, plus
# three standard errors of the standard deviation.
NOISIER = 1.25


class ScoreTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base class of estimators whose ``transform`` returns scores."""

    n_features_in_: int

    def _check_training(self, X: Any) -> Any:
        """Validate the samples of a fit."""
        X = check_samples(self, X, reset=True, min_rows=2)
        check_density(X)
        return X

    def _check_query(self, X: Any) -> Any:
        """Validate points at which a fitted estimator is evaluated."""
        check_is_fitted(self, ("_model", "net_"), all_or_any=any)
        return check_samples(self, X, reset=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class BaseScoreEstimator(ScoreTransformer):
    """Base class of estimators with a fitted :class:`~sk_mige.score.ScoreModel`.

    Subclasses implement ``_settings``.
    """

    n_landmarks: int | str | None
    device: str | torch.device
    random_state: Any
    _model: ScoreModel
    _spectrum: NDArray[Any] | None = None
    _density: LogDensity | None = None

    def _settings(self) -> ScoreSettings:
        """Return the settings of the next fit."""
        raise NotImplementedError

    def _projection(self, n_features: int, like: Tensor, rng: Any) -> Tensor | None:
        """Return the projection of points to the kernel's coordinates, or None."""
        return None

    def transform(self, X: Any) -> Any:
        r"""Estimate scores :math:`\nabla \log q` at any points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points, which are processed in chunks, so that millions of rows need little memory. For
            a Dask array, the result is a Dask array with the same blocks of rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Scores in input coordinates. The unit of each column is the inverse unit of the feature.
            The dtype is float32 if X is float32, else float64.

        Raises
        ------
        ValueError
            If the scores of a column are outside the range of the dtype of X.
        """
        if is_dask(X):
            check_is_fitted(self, "_model")
            return by_blocks(self.transform, X, X.shape[1], np.float64)
        X = self._check_query(X)
        return scores_like(self._by_chunks(ScoreModel.score, X, X.shape), X)

    def score(self, X: Any, y: None = None) -> float:
        r"""Return the negative mean Hyvärinen loss on the rows of X.

        The result is the mean of :math:`-\tfrac12\|\hat g\|^2 - \nabla\cdot\hat g`. On *held-out*
        rows, the expectation is :math:`\tfrac12 \mathbb E\|g\|^2 - \tfrac12 \mathbb E\|\hat g -
        g\|^2` with g the true score. The estimate with the smallest mean squared error therefore
        has the highest expected value. The loss is computed in input coordinates. Losses of
        different estimators are comparable on the same data, but not on differently scaled data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples of the density that were not used by the fit.
        y : None
            Ignored. scikit-learn's model selection passes ``y``.

        Returns
        -------
        float
            Negative mean loss. Higher values are better.
        """
        X = self._check_query(X)
        return -float(self._by_chunks(ScoreModel.hyvarinen_loss, X, X.shape[:1]).mean())

    def hyvarinen_loss(self, X: Any) -> Any:
        """Compute Hyvärinen's loss of each row.

        The negative mean of the losses is the result of :meth:`score`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples of the density that were not used by the fit.

        Returns
        -------
        ndarray of shape (n_samples,)
            Losses. The dtype is float64, because squares of scores may exceed the range of float32.
        """
        X = self._check_query(X)
        losses = self._by_chunks(ScoreModel.hyvarinen_loss, X, X.shape[:1])
        return like_input(losses, X, keep_dtype=True)

    def divergence(self, X: Any) -> Any:
        r"""Compute the divergence :math:`\nabla \cdot \hat g` of the estimated score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples,)
            Divergence at each point. The dtype is float64, because values may exceed the range of
            float32.
        """
        X = self._check_query(X)
        divergence = self._by_chunks(ScoreModel.divergence, X, X.shape[:1])
        return like_input(divergence, X, keep_dtype=True)

    @validate_params({"normalize": ["boolean"]}, prefer_skip_nested_validation=True)
    def log_density(self, X: Any, *, normalize: bool = False) -> Any:
        r"""Compute the log-density whose gradient is the estimated score.

        The log-density is :math:`\log b(y) + \phi(y)` in whitened coordinates y. The log-density of
        the base :math:`\log b` has a closed form. The fit adds a kernel expansion to the score of
        the base. The gradient of the potential :math:`\phi` is the expansion, or the gradient
        closest to the expansion:

        - With ``curl_free=True``, the potential is a sum of kernels, and the gradient of the
          log-density is exactly the score. With the base alone, :math:`\phi = 0`.
        - In one dimension with the RBF, the potential is a sum of error functions, and the gradient
          of the log-density is exactly the score.
        - Other expansions are not gradients in general. The potential is the sum of kernels whose
          gradient is closest to the expansion, by least squares over the centres.

        Outside the data, the extrapolation of a wide kernel is unreliable. With a base, the
        potential is therefore constant beyond a distance :math:`r_0` from the nearest centre, along
        a line away from the centre. The distance :math:`r_0` is the larger of half a bandwidth and
        twice the median distance between nearest centres. Beyond :math:`r_0`, the gradient of the
        log-density is not the score of :meth:`transform`. With two or more features, the
        log-density can jump where the nearest centre changes. Points between centres, such as
        points in a hole of the data, are not affected.

        Without normalisation, the log-density is 0 at ``mean_``. The difference of two
        log-densities is the logarithm of the ratio of the densities. A low log-density can indicate
        an anomaly.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.
        normalize : bool, default=False
            If True, subtract the logarithm of the integral of the density over the whole space.
            The integral is estimated by importance sampling with 16,384 fixed draws from the base.
            If the draws reach every mode, the standard error of the logarithm is about 0.1 or less.
            A normalised density has units of 1 / (product of the units of the features).

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities in nats, in float64.

        Raises
        ------
        ValueError
            If ``normalize=True``, and the estimate has no base or the samples of the fit do not
            vary in all directions. With ``normalize=True``, the error is also raised if the
            effective sample size :math:`(\sum w)^2 / \sum w^2` is below 100, where w are the
            importance weights.

        Notes
        -----
        For n centres, the least-squares potential with m ≤ min(n, 2000) kernels takes time
        O(n² (d + m)). Scores are insensitive to the weights of separate modes. The difference of
        log-densities between separate modes is therefore uncertain. On the four densities in the
        guide to scores, the default settings have mean errors at most as large as
        ``curl_free=True`` and :class:`SSGEScoreEstimatorCV`.

        Examples
        --------
        >>> import numpy as np
        >>> from sk_mige import SSGEScoreEstimator
        >>> X = np.random.default_rng(0).normal(5.0, 2.0, size=(500, 1))
        >>> estimator = SSGEScoreEstimator().fit(X)
        >>> points = np.array([[5.0], [9.0]])
        >>> estimator.log_density(points, normalize=True).round(1)  # the truth is -1.6 and -3.6
        array([-1.6, -3.6])
        """
        X = self._check_query(X)
        density = self._log_density()
        values = self._by_chunks(lambda _, x: density(x), X, X.shape[:1])
        if normalize:
            values -= density.log_normalizer()
        return like_input(values, X, keep_dtype=True)

    def denoise(self, X: Any, noise: Any) -> Any:
        r"""Remove Gaussian noise from noisy rows by Tweedie's formula.

        .. math:: \mathbb E[x_0 \mid x] = x + \sigma^2\, \nabla \log q_\sigma(x),
                  \qquad x = x_0 + \sigma \xi, \quad \xi \sim N(0, I)

        Here :math:`q_\sigma` is the density of the *noisy* rows. The estimator must therefore be
        fitted to noisy rows with the same noise. With the score of clean rows, the error is larger,
        and can exceed the error of the noisy rows. For Gaussian data, the formula is the Wiener
        filter.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Noisy rows, which may be the rows of the fit.
        noise : float or array-like of shape (n_features,)
            Standard deviation :math:`\sigma` of the noise, in the units of the features. An array
            has one value for each feature. The noise of different features is independent.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Estimated means of the clean rows, in float32 if X is float32, else in float64.

        Raises
        ------
        ValueError
            If ``noise`` is negative or not finite, or has the wrong shape.

        Warns
        -----
        UserWarning
            If ``noise`` significantly exceeds 1.25 times the standard deviation of a feature in the
            rows of the fit. Rows that contain the noise vary at least as much as the noise.

        References
        ----------
        B. Efron, "Tweedie's Formula and Selection Bias", JASA 106, 2011.

        Examples
        --------
        >>> import numpy as np
        >>> from sk_mige import SSGEScoreEstimator
        >>> rng = np.random.default_rng(0)
        >>> clean = rng.normal(size=(500, 2)) @ [[3.0, 3.0], [0.0, 0.5]]
        >>> noisy = clean + rng.normal(size=clean.shape)
        >>> denoised = SSGEScoreEstimator().fit(noisy).denoise(noisy, 1.0)
        >>> bool(np.mean((denoised - clean) ** 2) < 0.65 * np.mean((noisy - clean) ** 2))
        True
        """
        X = self._check_query(X)
        given = np.asarray(readable(noise, "noise"))
        numeric = given.dtype.kind in "biuf" and given.shape in ((), X.shape[1:])
        if not numeric or not np.all((given >= 0) & (given < np.inf)):
            raise ValueError(
                f"noise must be a standard deviation >= 0, or one for each of the {X.shape[1]} "
                f"features of X, got {noise!r}"
            )
        self._check_noise(given)
        scores = self._by_chunks(ScoreModel.score, X, X.shape)
        sigma = torch.tensor(given, dtype=torch.float64, device=scores.device)
        # Multiply by sigma twice, because the square of a large sigma may overflow.
        moved = scores * sigma * sigma
        moved += to_tensor(X, moved.device)
        check_finite(moved)
        return like_input(moved, X)

    def _check_noise(self, noise: NDArray[Any]) -> None:
        """Warn if the rows of the fit vary too little to contain the noise."""
        spread = self.centers_.std(axis=0)
        most = (NOISIER + 3 / (2 * len(self.centers_)) ** 0.5) * spread
        if (noise > most).any():
            k = int(np.argmax(noise > most))
            warn_user(
                f"noise={np.broadcast_to(noise, most.shape)[k]:g} is larger than the standard "
                f"deviation {spread[k]:.3g} of feature {k} in the rows of the fit, so these rows "
                "cannot contain the noise. Fit the estimator to noisy rows, and pass the standard "
                "deviation of the noise, not the variance"
            )

    def jacobian_vector_product(self, X: Any, V: Any) -> Any:
        r"""Compute products :math:`J_{\hat g}(x)\, v` with the Jacobian of the estimated score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points x.
        V : array-like of shape (n_samples, n_features)
            Vectors v, one for each point.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Directional derivatives of the score.
        """
        X, V = self._check_query(X), self._check_query(V)
        if X.shape != V.shape:
            raise ValueError(f"V must have the shape of X, {tuple(X.shape)}, got {tuple(V.shape)}")
        device = self._place()
        parts = [
            self._model.jvp(x, to_tensor(V[rows], device).to(x))
            for rows, x in row_chunks(X, self._width, device)
        ]
        return scores_like(torch.cat(parts), X)

    @validate_params(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "n_steps": [Interval(Integral, 1, None, closed="left")],
            "step_size": [Interval(Real, 0, None, closed="neither")],
            "adjusted": ["boolean"],
            "random_state": ["random_state"],
        },
        prefer_skip_nested_validation=True,
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        n_steps: int = 500,
        step_size: float = 0.05,
        adjusted: bool = True,
        random_state: Any = None,
    ) -> Any:
        r"""Draw samples by Langevin dynamics along the estimated score.

        .. math:: x \leftarrow x + \epsilon\, C\, \hat g(x) + \sqrt{2 \epsilon}\, C^{1/2} \xi,
                  \qquad \xi \sim N(0, I)

        Here :math:`\epsilon` is the step size, and C is the covariance of the centres. The chains
        start from the centres. Let t be the product of step size, number of steps and acceptance
        rate. For Gaussian data, the correlation of a sample with its starting point is about
        :math:`e^{-t}`. Between separate modes, chains mix more slowly.

        The score does not determine the relative weights of separate groups of rows. With
        ``adjusted=True``, a step to another group is rejected, so that the groups keep their shares
        of the centres. Groups are found by nearest neighbours of up to 128 centres.

        The samples are suitable only for visual inspection. The estimated score is unreliable far
        from the data. With a base, chains far from the data therefore follow the score of the base,
        for any bandwidth. Without a base, the score is close to 0 far from the data, and chains
        rarely return.

        Parameters
        ----------
        n_samples : int, default=1
            Number of chains, each of which gives one sample.
        n_steps : int, default=500
            Number of steps of each chain, at least 1.
        step_size : float, default=0.05
            Step size :math:`\epsilon`, without unit, because steps are scaled by the covariance.
            With long steps, most proposals are rejected if ``adjusted=True``, and the samples are
            biased if ``adjusted=False``.
        adjusted : bool, default=True
            If True, accept or reject each step by the Metropolis rule. The difference of
            log-densities between the ends of a step is the integral of the score along the step,
            computed by Simpson's rule. With True, each step needs one more evaluation of the score.
            With False, chains can diverge if steps are too long for the regions where the score
            changes fastest.
        random_state : int, RandomState instance or None, default=None
            Seed or generator of starting points and noise.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Samples, in float64.

        Raises
        ------
        ValueError
            If ``n_samples``, ``n_steps`` or ``step_size`` is out of range, if chains diverged, or
            if every step was rejected.

        Warns
        -----
        UserWarning
            If more than 5 % of the chains have left the data, or if more than 5 % never moved from
            their starting points. A chain has left the data if the :meth:`log_density` of its last
            point is far below the log-density of every centre. Without a base, a chain has also
            left the data if its last point is far from every centre. A warning is also given if
            t < 1. With ``adjusted=False``, a warning is given if the mean acceptance probability
            would be below 0.4. A further warning is given if the variance of the chains
            significantly exceeds 1.5 times the variance of the centres.
        """
        check_is_fitted(self, "_model")
        log_density = self._log_density()
        x = langevin(
            confined_score(self._model),
            self._model.centers,
            n_samples,
            n_steps,
            step_size,
            adjusted,
            check_random_state(random_state),
            log_density=log_density,
            has_base=self._model.expansion.base.dof is not None,
        )
        return x.cpu().numpy().astype(np.float64)

    @property
    def centers_(self) -> Any:
        """Centres of the kernel in input coordinates."""
        check_is_fitted(self, "bandwidth_")
        return self._model.centers.cpu().numpy()

    @property
    def eigenvalues_(self) -> Any:
        """Spectrum of the kernel operator, computed at the first access."""
        check_is_fitted(self, "bandwidth_")
        if self._spectrum is None:
            self._spectrum = spectrum_of(self._model.expansion).cpu().numpy()
        return self._spectrum

    def _place(self) -> torch.device:
        """Move the model to the requested device, and return the device."""
        device = available_device(self.device)
        if self._model.coefficients.device != device:
            self._model = self._model.to(device)
            self._density = None
        return device

    def _by_chunks(
        self, function: Callable[[ScoreModel, Tensor], Tensor], X: Any, shape: Any
    ) -> Tensor:
        """Apply a function of the model to chunks of rows, and return the results in float64."""
        device = self._place()
        out = torch.empty(tuple(shape), dtype=torch.float64, device="cpu")
        # A chunk's matrices of 4 MiB fit into the processor's cache.
        for rows, x in row_chunks(X, 4 * self._width, device):
            part = function(self._model, x)
            check_finite(part)
            out[rows] = part
        return out

    def _log_density(self) -> LogDensity:
        """Return the log-density of the model, computed at the first use."""
        self._place()
        if self._density is None:
            self._density = LogDensity.of(self._model)
        return self._density

    def _score_errors(self, X: Any) -> ScoreErrors | None:
        """Return the posterior of the errors of the scores at the rows of the fit, if known."""
        if self._settings().truncates:
            return None
        x = to_tensor(X, self._place())
        return score_errors(self._model, getattr(self, "alpha_", 0.0), x)

    @property
    def _width(self) -> int:
        """Number of columns of a chunk's largest matrix."""
        return int(max(self._model.coefficients.shape[0], self.n_features_in_))

    def _compute_device(self) -> torch.device:
        device = resolve_device(self.device)
        if device.type == "mps":
            raise ValueError(
                "device='mps' has no float64, which the eigendecompositions need: use 'cpu', or "
                "sk_mige.score.ssge on MPS tensors"
            )
        return device

    def _given_landmarks(self) -> int | None:
        """Return ``n_landmarks`` if it is a number, else None."""
        if isinstance(self.n_landmarks, str) or self.n_landmarks is None:
            return None
        return int(self.n_landmarks)

    def _check_landmarks(self, n_samples: int) -> None:
        given = self._given_landmarks()
        if given is not None and given > n_samples:
            raise ValueError(
                f"n_landmarks={given} is more than the {n_samples} rows of X; pass "
                f"at most {n_samples}, or None to use every row"
            )

    def _n_centers(self, n_samples: int) -> int | None:
        """Return the number of landmarks, or None if every row is a centre."""
        self._check_landmarks(n_samples)
        settings = self._settings()
        eigenvectors = settings.truncates or settings.curl_free or settings.alpha == 0
        largest = MAX_EIGH_ROWS if eigenvectors else MAX_DENSE_ROWS
        if self.n_landmarks != "auto" or n_samples <= largest:
            return self._given_landmarks()
        return AUTO_LANDMARKS

    def _warn_of_landmarks(self, n_samples: int, n_centers: int | None) -> None:
        """Warn if n_landmarks="auto" has selected landmarks."""
        if self.n_landmarks == "auto" and n_centers is not None:
            warn_user(
                f"X has {n_samples} rows, too many for a dense fit, so {n_centers} rows serve "
                f"as landmarks. Set n_landmarks={n_centers} to silence this warning, a larger "
                "number for smaller errors, or None to use all rows"
            )

    def _check_scales(self, x: Tensor) -> None:
        """Warn about outliers that dominate the whitening, and raise for scales beyond float64."""
        settings = self._settings()
        if settings.whiten:
            warn_of_outliers(x)
        else:
            check_spread(x, 4 if settings.curl_free else 2)

    def _new_accumulator(self, X: Any, n_centers: int, rng: Any) -> LandmarkAccumulator:
        """Choose landmarks among X, and estimate whitening, base and bandwidth from X."""
        rows = representative_rows(X.shape[0], X.shape[1], n_centers, rng)
        x = to_tensor(X[rows], self._compute_device())
        self._check_scales(x)
        picked = np.sort(rng.choice(len(x), n_centers, replace=False))
        projection = self._projection(X.shape[1], x[:1].to(torch.float64), rng)
        landmarks = torch.from_numpy(picked).to(x.device)
        return LandmarkAccumulator.from_rows(x, landmarks, self._settings(), projection)

    def _fit_landmarks(self, X: Any, n_centers: int, rng: Any) -> LandmarkAccumulator:
        """Choose landmarks among the rows of X, and sum the terms of the loss over the rows."""
        accumulator = self._new_accumulator(X, n_centers, rng)
        for _, part in row_chunks(X, n_centers, self._compute_device()):
            accumulator.add(part)
        return accumulator

    def _keep(self, fit: ScoreFit, n_samples: int) -> Self:
        """Set the fitted attributes."""
        self._keep_model(fit.model, n_samples)
        self.alpha_, self.kernel_ = fit.alpha, fit.model.expansion.kernel
        self._spectrum = None if fit.spectrum is None else fit.spectrum.cpu().numpy()
        self.n_eigen_ = fit.n_eigen
        self.degrees_of_freedom_ = fit.model.expansion.base.dof
        return self

    def _keep_model(self, model: ScoreModel, n_samples: int) -> None:
        """Set the attributes common to all fitted estimators."""
        self._model = model
        self._density = None
        self._spectrum = None
        self.bandwidth_ = model.expansion.bandwidth
        self.shrinkage_ = model.expansion.whitening.shrinkage
        self.mean_ = model.mean.cpu().numpy()
        self.n_samples_seen_ = n_samples
        self._n_features_out = self.n_features_in_

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with NumPy arrays, which load on machines without a GPU."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_density", None)  # computed again from the model
        known: dict[int, Any] = {}  # tensors shared by model and sums are stored once
        for name in {"_model", "_accumulator"} & state.keys():
            state[name] = to_stored(state[name], known)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a fitted estimator on ``device``, or on "auto" if the device is missing."""
        state = dict(state)
        if "eigenvalues_" in state:  # files of earlier versions
            state["_spectrum"] = state.pop("eigenvalues_")
        defaults = type(self)().get_params(deep=False)  # for newer parameters
        super().__setstate__({**defaults, **state})
        for name in {"_model", "_accumulator"} & state.keys():
            setattr(self, name, to_tensors(state[name], available_device(self.device)))


def warn_of_dense_fit(n_samples: int) -> None:
    """Warn of the memory of a fit whose kernel matrix has a row and a column for each sample."""
    if n_samples > LARGEST_DENSE_ROWS:
        warn_user(
            f"a dense fit to {n_samples} rows needs about "
            f"{BYTES_OF_A_PAIR * n_samples**2 / 1e9:.0f} GB of memory. The time is proportional to "
            "the cube of the number of rows. Pass fewer rows, or use an SSGEScoreEstimator with "
            "n_landmarks=1000"
        )


def representative_rows(
    n_samples: int, n_features: int, n_landmarks: int, rng: np.random.RandomState
) -> NDArray[Any]:
    """Draw the rows from which whitening and base are estimated and landmarks are chosen.

    The number of rows is at most the largest of 10,000, four times the number of features, and the
    number of landmarks.
    """
    return drawn_rows(n_samples, max(REPRESENTATIVE_ROWS, 4 * n_features, n_landmarks), rng)


def drawn_rows(n_samples: int, n_drawn: int, rng: np.random.RandomState) -> NDArray[Any]:
    """Draw ascending indices of rows. All rows are returned if there are at most ``n_drawn``."""
    if n_samples <= n_drawn:
        return np.arange(n_samples)
    return np.sort(rng.choice(n_samples, n_drawn, replace=False))
