"""Fits over streams of rows: batch by batch, merged from parts, or on dask's scheduler."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from importlib import import_module
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state

from sk_mige.score import KernelSums

from ._rows import check_samples, check_varies, to_tensor
from ._score_base import AUTO_LANDMARKS, BaseScoreEstimator
from ._score_landmarks import LandmarkAccumulator, frame_rows

__all__ = ["StreamingMixin"]


class StreamingMixin(BaseScoreEstimator):
    """``partial_fit``, ``fit_batches``, ``merge`` and dask arrays, for landmark estimators."""

    _accumulator: LandmarkAccumulator | None

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: None = None) -> Self:
        """Add rows to the stream that earlier calls began.

        A :meth:`fit` of an array keeps no sums that rows could be added to: the first call after
        it begins a stream of its own.

        The first call chooses the landmarks among its rows (at most ``n_landmarks``, 1,000 for
        "auto") and freezes them, the whitening, the base and the bandwidth: give it a fair sample
        of the data. Later calls add their rows' sums, which are kept for as long as more may
        come. Every call solves for the coefficients anew; :meth:`fit_batches` does so only once.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Further samples; at least two in the first call.
        y : None
            Ignored.

        Returns
        -------
        self
            The estimator, fitted to all rows so far.
        """
        self._absorb(X)
        return self._solve_stream()

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Iterable[Any]) -> Self:
        """Fit to a stream of batches, such as a generator that reads files, in one pass.

        Parameters
        ----------
        batches : iterable of array-likes of shape (n_samples, n_features)
            The first one should be a fair sample of the data: landmarks, whitening, base and
            bandwidth come from it.

        Returns
        -------
        self
            The fitted estimator. If the stream breaks, by Ctrl-C or by an exception of its own,
            the estimator is fitted to what had arrived, and the exception is passed on.
        """
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
        """Add what another estimator has summed over the same landmarks.

        Start both from one: ``partial_fit`` a first batch, :func:`copy.deepcopy` the estimator to
        every worker, let each ``partial_fit`` its own rows after :meth:`forget`, and merge.

        Parameters
        ----------
        other : estimator of the same class
            Its landmarks, whitening, base and bandwidth must be equal to these.

        Returns
        -------
        self
            The estimator, fitted to the rows of both.

        Raises
        ------
        TypeError
            When the other one is not an estimator that keeps sums.
        ValueError
            When the two were not started from the same first batch; nothing is changed then.
        """
        if not isinstance(other, StreamingMixin):
            raise TypeError(
                f"merge takes another {type(self).__name__}, got {type(other).__name__}"
            )
        mine, theirs = self._accumulator_or_raise(), other._accumulator_or_raise()
        difference = mine.difference(theirs)
        if difference is not None:
            raise ValueError(
                f"cannot merge: the two estimators have different {difference}. Fit one with "
                "partial_fit, deep-copy it to the workers, call forget() there, and merge those"
            )
        if theirs.fold_sums:
            mine.join(theirs.fold_sums)
        return self._solve_stream()

    def forget(self) -> Self:
        """Set the sums to nothing while landmarks, whitening, base and bandwidth stay.

        Returns
        -------
        self
            The estimator, whose next ``partial_fit`` starts from zero rows.
        """
        self._accumulator_or_raise().fold_sums = []
        return self

    def _accumulator_or_raise(self) -> LandmarkAccumulator:
        accumulator: LandmarkAccumulator | None = getattr(self, "_accumulator", None)
        if accumulator is None:
            raise ValueError(
                f"this {type(self).__name__} keeps no sums: only partial_fit and fit_batches "
                "do; fit does not"
            )
        return accumulator

    def _absorb(self, X: Any) -> None:
        """Add a batch's sums to the accumulator, which the first batch creates."""
        first = getattr(self, "_accumulator", None) is None
        X = check_samples(self, X, reset=first, min_rows=2 if first else 1)
        if first:
            check_varies(X, "they have no density and no score")
            wanted = self._given_landmarks() or AUTO_LANDMARKS
            rng = check_random_state(self.random_state)
            accumulator = self._new_accumulator(X, min(wanted, X.shape[0]), rng)
        else:
            accumulator = self._accumulator_or_raise()
        accumulator.add(to_tensor(X, self._compute_device()))
        self._accumulator = accumulator

    def _solve_stream(self) -> Self:
        accumulator = self._accumulator_or_raise()
        return self._keep(accumulator.solve(self._settings()), accumulator.n_samples)

    def _fit_dask(self, X: Any) -> Self:
        """Sum each chunk in a task of its own and add the results up."""
        dask: Any = import_module("dask")  # untyped; there, since X is one of its arrays

        if any(np.isnan(size) for sizes in X.chunks for size in sizes):
            raise ValueError(
                "the chunks of X are of unknown size: call X.compute_chunk_sizes() first"
            )
        X = X.rechunk({1: X.shape[1]})
        blocks = X.to_delayed().ravel()
        rows_of = [int(size) for size in X.chunks[0]]
        offsets = np.cumsum([0, *rows_of[:-1]])
        self._check_landmarks(X.shape[0])
        rng = check_random_state(self.random_state)
        n_centers = min(self._given_landmarks() or AUTO_LANDMARKS, X.shape[0])
        # Rows from all over the chunks, which may be sorted: those that fit would take of an array.
        wanted = frame_rows(X.shape[0], X.shape[1], n_centers, rng)
        ends = np.searchsorted(wanted, [*offsets, X.shape[0]])
        parts = [
            block[wanted[first:last] - offset]
            for block, offset, first, last in zip(blocks, offsets, ends, ends[1:], strict=False)
            if last > first
        ]
        sample = check_samples(self, np.concatenate(dask.compute(*parts)), reset=True, min_rows=2)
        check_varies(sample, "they have no density and no score")
        accumulator = self._new_accumulator(sample, n_centers, rng)
        tasks = [
            dask.delayed(_block_sums)(accumulator, block, int(offset))
            for block, offset in zip(blocks, offsets, strict=True)
        ]
        while len(tasks) > 1:  # add in pairs, on the workers
            paired = [dask.delayed(_add)(*tasks[i : i + 2]) for i in range(0, len(tasks), 2)]
            tasks = paired
        (fold_sums,) = dask.compute(tasks[0])
        accumulator.join(fold_sums)
        return self._keep(accumulator.solve(self._settings()), accumulator.n_samples)


def _block_sums(accumulator: LandmarkAccumulator, block: Any, offset: int) -> list[KernelSums]:
    """Sums of one chunk; a function of the module, so that it can be sent to a worker."""
    block = np.asarray(block)
    if not np.isfinite(block).all():
        raise ValueError(f"the chunk that starts at row {offset} has values that are not finite")
    x = to_tensor(block, accumulator.expansion.centers.device)
    return accumulator.sums_of(x, offset)


def _add(*parts: list[KernelSums]) -> list[KernelSums]:
    return reduce(lambda a, b: [s + t for s, t in zip(a, b, strict=True)], parts)
