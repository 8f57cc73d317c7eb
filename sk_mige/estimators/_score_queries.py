"""What a fitted score answers: scores, losses, derivatives, samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige.score import ScoreModel
from sk_mige.training.device import available_device

from ._rows import by_blocks, check_samples, is_dask, like_input, row_chunks, to_tensor
from ._score_sampling import langevin
from ._stored import to_stored, to_tensors

__all__ = ["ScoreQueriesMixin"]


class ScoreQueriesMixin(TransformerMixin):
    """Methods of every estimator that holds a :class:`~sk_mige.score.ScoreModel`.

    A transformer in its own right: scikit-learn lets ``set_output`` reach a ``transform`` only
    where the class that defines it descends from its mixin.
    """

    _model: ScoreModel
    device: str | torch.device

    def transform(self, X: Any) -> Any:
        r"""Estimate scores :math:`\nabla \log q` at any points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points; they may be others than those of the fit. Computed in chunks, so that millions
            of rows stream through; of a Dask array block by block, when Dask computes the result.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Scores in input coordinates, in units of 1 / feature, in the dtype of X.
        """
        if is_dask(X):
            check_is_fitted(self)
            dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)
            return by_blocks(self.transform, X, X.shape[1], dtype)
        X = self._check_query(X)
        return self._by_chunks(self._model.score, X, X.shape)

    def score(self, X: Any, y: None = None) -> float:
        r"""Minus Hyvärinen's loss on the rows of X, their mean.

        The mean of :math:`-\tfrac12\|\hat g\|^2 - \nabla\cdot\hat g`, whose expectation is
        :math:`\tfrac12 \mathbb E\|g\|^2 - \tfrac12 \mathbb E\|\hat g - g\|^2` with g the true
        score. On *held-out* rows the highest value thus belongs to the estimate closest to the
        truth, which need not be known. In input coordinates: values compare estimators of the
        same data, not of differently scaled data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples of the density, not those of the fit.
        y : None
            Ignored; there for scikit-learn's model selection.

        Returns
        -------
        float
            Higher is better.
        """
        return -float(self.hyvarinen_loss(X).mean())

    def hyvarinen_loss(self, X: Any) -> Any:
        """Hyvärinen's loss of each row, whose mean :meth:`score` negates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples of the density, not those of the fit.

        Returns
        -------
        ndarray of shape (n_samples,)
            Losses, in units of 1 / feature².
        """
        X = self._check_query(X)
        return self._by_chunks(self._model.hyvarinen_loss, X, X.shape[:1])

    def divergence(self, X: Any) -> Any:
        r"""Divergence :math:`\nabla \cdot \hat g` of the estimated score, in closed form.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples,)
            The Laplacian of the estimated log-density, in units of 1 / feature².
        """
        X = self._check_query(X)
        return self._by_chunks(self._model.divergence, X, X.shape[:1])

    def jacobian_vector_product(self, X: Any, V: Any) -> Any:
        r"""Products :math:`J_{\hat g}(x)\, v` with the Jacobian of the estimated score.

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
        device, dtype = self._place()
        parts = [
            self._model.jvp(x.to(dtype), to_tensor(V[rows], device).to(dtype))
            for rows, x in row_chunks(X, self._width, device)
        ]
        return like_input(torch.cat(parts), X)

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

        with :math:`\epsilon` the step size and C the covariance of the centres, from which the
        chains start: steps in coordinates of unit covariance, so that neither scales nor
        correlations matter. Good enough for a picture. The estimate knows nothing far from the
        data: without a base nothing calls chains back that have got there.

        Parameters
        ----------
        n_samples : int, default=1
            Number of chains, each giving one sample.
        n_steps : int, default=500
            Steps of each chain.
        step_size : float, default=0.05
            :math:`\epsilon`, as a fraction of the data's covariance.
        adjusted : bool, default=True
            Accept or reject each step (Metropolis), with the log-density's difference taken as
            the integral of the score along the step by Simpson's rule, for one more evaluation of
            the score. Without, a step that is too long for the estimate's roughest places throws
            chains out of the data.
        random_state : int, RandomState instance or None, default=None
            Source of starting points and noise.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Samples, in float64.

        Raises
        ------
        ValueError
            If a number is out of range, or chains have diverged.

        Warns
        -----
        UserWarning
            If more than one chain in twenty ends twice as far from the mean as any centre.
        """
        check_is_fitted(self)
        if n_samples < 1 or n_steps < 0 or not step_size > 0:
            raise ValueError(
                "sample needs n_samples >= 1, n_steps >= 0 and step_size > 0, got "
                f"{n_samples}, {n_steps} and {step_size}"
            )
        x = langevin(
            self._model.score,
            self._centers_in_input(),
            n_samples,
            n_steps,
            step_size,
            adjusted,
            check_random_state(random_state),
        )
        return x.cpu().numpy().astype(np.float64)

    def _check_query(self, X: Any) -> Any:
        check_is_fitted(self)
        return check_samples(self, X, reset=False)

    def _place(self) -> tuple[torch.device, torch.dtype]:
        """Device and dtype in which the model computes; it moves to the device when asked."""
        device = available_device(self.device)
        coefficients = self._model.coefficients
        if coefficients.device != device:
            self._model = self._model.to(device)
        return device, coefficients.dtype

    def _by_chunks(self, function: Callable[[Tensor], Tensor], X: Any, shape: Any) -> Any:
        device, dtype = self._place()
        name = function.__name__
        out = torch.empty(tuple(shape), dtype=dtype)
        for rows, x in row_chunks(X, self._width, device):
            # Points keep their own dtype where the model reduces them to its span first.
            x = x if self._model.span is not None else x.to(dtype)
            out[rows] = getattr(self._model, name)(x).to(out)
        return like_input(out, X)

    @property
    def _width(self) -> int:
        """Columns that a chunk's largest matrix has."""
        return int(max(self._model.coefficients.shape[0], self.n_features_in_))

    def _centers_in_input(self) -> Tensor:
        """The centres, mapped back to input coordinates."""
        model = self._model
        x = model.expansion.whitening.inverse(model.expansion.centers)
        return x if model.span is None else model.span.positions(x)

    def __getstate__(self) -> dict[str, Any]:
        """State of NumPy arrays, which load where there is no GPU and stores without torch know."""
        state: dict[str, Any] = dict(super().__getstate__())
        known: dict[int, Any] = {}  # landmarks are stored once, though model and sums have them
        for name in {"_model", "_accumulator"} & state.keys():
            state[name] = to_stored(state[name], known)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a fitted estimator on the device that it asks for, or else on "auto"."""
        super().__setstate__(state)
        for name in {"_model", "_accumulator"} & state.keys():
            setattr(self, name, to_tensors(state[name], available_device(self.device)))
