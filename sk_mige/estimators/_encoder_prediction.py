"""What a fitted MIGEEncoder computes: representations and, in the bottleneck, predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._encoder_attributes import EncoderAttributes
from ._rows import by_blocks, check_queries, is_dask, like_input, to_rows
from ._targets import as_numpy, as_targets

__all__ = ["PredictionMixin"]


# Values of one chunk of rows at prediction: 64 MiB as float32.
CHUNK_VALUES = 2**24
# What convolutions make of each: 64 channels of a quarter of the pixels.
VALUES_OF_A_PIXEL = 16
# Matrix products of fewer rows take other paths through the libraries, which round differently.
FEWEST_ROWS = 32


def _predicts(estimator: Any) -> bool:
    if estimator.mode != "ib":
        raise AttributeError(
            f"mode={estimator.mode!r} learns a representation, not predictions: use mode='ib', or "
            "put a classifier after the encoder"
        )
    return True


def _expect_decoder(estimator: Any) -> None:
    check_is_fitted(estimator)
    fitted = estimator._architecture.mode
    if fitted != "ib":
        raise NotFittedError(
            f"{type(estimator).__name__} was fitted with mode={fitted!r}, which learns no "
            f"predictions, and mode={estimator.mode!r} was set after that: call fit(X, y) again"
        )


def _classifies(estimator: Any) -> bool:
    if _predicts(estimator) and estimator._current_task() == "regression":
        raise AttributeError("predict_proba needs classes, and this is a regression")
    return True


class PredictionMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin, EncoderAttributes):
    """``transform``, and in mode="ib" ``predict``, ``predict_proba`` and ``score``."""

    def transform(self, X: Any) -> Any:
        """Representations of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples, n_components)
            Codes z, or their means where they are drawn (one draw each with output="sample");
            the layer's values where ``output`` names one.
        """
        check_is_fitted(self)
        if is_dask(X):
            dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float32)
            return by_blocks(self.transform, X, self._output_width(), dtype)
        X = check_queries(self, X, "transform")
        represent = self._sampler() if self.output == "sample" else self._represent
        return like_input(self._in_chunks(represent, X), X)

    @available_if(_predicts)
    def predict(self, X: Any) -> Any:
        """Most probable class, or expected value, of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets)
            Classes, or real values in the units of the targets given to ``fit``: float64, or
            float32 where these were, whatever the dtype of X.
        """
        _expect_decoder(self)
        X = check_queries(self, X, "predict")
        if self.task_ == "classification":
            labels = self.classes_[self._mean_prediction(X).argmax(axis=1)]
            return like_input(labels, X, keep_dtype=True)
        return as_targets(self._expected(X), X, self._target_dtype)

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> Any:
        """Probability of each class, in the order of ``classes_``.

        The average over ``n_prediction_samples`` draws of z for each row, which are the same
        draws of ε for every row and every call; with 0 the decoder reads the mean of z.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        _expect_decoder(self)
        X = check_queries(self, X, "predict_proba")
        return like_input(self._mean_prediction(X), X)

    @available_if(_predicts)
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of the predicted classes, or R² of the predicted values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        float
        """
        _expect_decoder(self)
        y, weight = as_numpy(y), as_numpy(sample_weight)
        if self.task_ == "classification":
            return float(accuracy_score(y, as_numpy(self.predict(X)), sample_weight=weight))
        # Not of predict, which rounds to the targets' type.
        expected = self._expected(check_queries(self, X, "score"))
        return float(r2_score(y, expected, sample_weight=weight))

    def _mean_prediction(self, X: Any) -> NDArray[Any]:
        """Class probabilities, or scaled values, averaged over draws of z, float64."""
        noise = self._prediction_noise()

        def averaged(x: torch.Tensor) -> torch.Tensor:
            raw = self.module_.predictions(x, noise).double()
            return (raw.softmax(-1) if self.task_ == "classification" else raw).mean(0)

        return self._in_chunks(averaged, X)

    def _prediction_noise(self) -> torch.Tensor | None:
        """Draws of ε (S, K), the same for every row: predictions do not depend on the batch."""
        if self.n_prediction_samples == 0:
            return None
        size = (self.n_prediction_samples, self._architecture.n_components)
        draws = np.random.RandomState(self._seed).standard_normal(size).astype(np.float32)
        return torch.as_tensor(draws, device=self._device)

    def _expected(self, X: Any) -> NDArray[Any]:
        """Expected values in the targets' units, float64."""
        values = self._mean_prediction(X)
        restored: NDArray[Any] = self._target_scaler.inverse_transform(values)
        return restored[:, 0] if self._flat_target else restored

    def _represent(self, x: torch.Tensor) -> torch.Tensor:
        if self.output is None:
            return torch.as_tensor(self.module_(x).z)
        try:
            return torch.as_tensor(self.module_.layer(x, self.output))
        except AttributeError as error:
            names = [name for name, _ in self.module_.encoder.named_modules() if name]
            raise ValueError(
                f"output={self.output!r} is no submodule of the encoder; it has {names}"
            ) from error

    def _sampler(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Draws of z, the same in each call for the same number of rows."""
        generator = torch.Generator().manual_seed(self._seed)
        width = self._architecture.n_components

        def sample(x: torch.Tensor) -> torch.Tensor:
            noise = torch.randn(1, len(x), width, generator=generator, dtype=x.dtype, device="cpu")
            return self.module_.draws(x, noise.to(x.device))[0]

        return sample

    def _output_width(self) -> int:
        if self.output is None or self.output == "sample":
            return int(self._architecture.n_components)
        with torch.inference_mode():
            rows = torch.zeros(
                1, self._architecture.n_features, dtype=torch.float32, device=self._device
            )
            return int(self._represent(rows).shape[1])

    def _in_chunks(self, function: Callable[[torch.Tensor], torch.Tensor], X: Any) -> NDArray[Any]:
        """``function`` of the rows in evaluation mode, chunk by chunk, as NumPy."""
        self.module_.eval()
        rows = to_rows(X)
        width = rows.shape[1] * (VALUES_OF_A_PIXEL if self._architecture.input_shape else 1)
        size = max(256, CHUNK_VALUES // max(1, width))
        results = []
        with torch.inference_mode():
            for start in range(0, len(rows), size):
                chunk = rows[start : start + size]
                if isinstance(chunk, np.ndarray):  # a copy: it may be read-only
                    chunk = np.array(chunk, dtype=np.float32)
                x = torch.as_tensor(chunk, dtype=torch.float32, device=self._device)
                results.append(function(_padded(x)).cpu().numpy()[: len(x)])
        return np.concatenate(results)


def _padded(x: torch.Tensor) -> torch.Tensor:
    """At least FEWEST_ROWS rows, so that a row's result does not depend on its company."""
    missing = max(0, FEWEST_ROWS - len(x))
    return torch.cat([x, x.new_zeros(missing, x.shape[1])]) if missing else x
