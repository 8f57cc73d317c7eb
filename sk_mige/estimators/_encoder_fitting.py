"""``fit`` and ``partial_fit`` of MIGEEncoder: from what users pass to what is trained on."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from skorch.callbacks import Callback

from sk_mige.training import BetaWarmup, CosineDecay, ExponentialDecay, WeightAveraging

from ._encoder_bottleneck import check_bottleneck, check_likelihood
from ._encoder_callbacks import EpochTasks, schedules_lr
from ._encoder_continuing import expect_same_network
from ._encoder_features import (
    check_features,
    check_views,
    warn_of_few_differences,
    warn_of_unseen_input,
)
from ._encoder_training import TrainingMixin
from ._encoder_validation import check_validation
from ._rows import check_float32_resolution, check_rows, check_varies, namespace_of
from ._targets import (
    as_numpy,
    check_classes,
    check_targets,
    find_classes,
    resolve_task,
    warn_of_many_classes,
)

__all__ = ["FittingMixin"]


class FittingMixin(CallbackSupportMixin, TrainingMixin):
    """Validates, encodes targets, starts or continues, trains."""

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the encoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; dense and finite.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of mode="ib". Ignored in mode="infomax".

        Returns
        -------
        MIGEEncoder
            This estimator.

        Raises
        ------
        ValueError
            For constant, too few or non-finite rows, for targets that do not suit the task, and
            for networks that do not suit the data.
        TypeError
            For sparse X.
        RuntimeError
            Where ``device`` names one that this machine lacks.

        Warns
        -----
        ConvergenceWarning
            When the loss became infinite or NaN: training stops at the last good weights. When
            the representation has become the same for all rows.
        UserWarning
            For columns that vary by less than float32 can tell.
        """
        context = self._init_callback_context(max_subtasks=int(self.max_epochs))
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        check_validation(self)
        X, targets = self._prepare(X, y, reset=not (self.warm_start and self._is_started()))
        callbacks = [EpochTasks(self, context), *self._schedules()]
        self._train(X, targets, int(self.max_epochs), callbacks, self.validation_fraction)
        if self.mode == "infomax" and self.output_scale == "input":
            self._align(X)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _schedules(self) -> list[Callback]:
        """What changes in the course of a call to fit."""
        schedules: list[Callback] = []
        ours = not schedules_lr(self.callbacks)  # two schedules would multiply
        if ours and self.lr_schedule == "cosine":
            schedules.append(CosineDecay(int(self.max_epochs)))
        elif ours and self.lr_schedule == "exponential":
            steps = int(self.lr_decay_epochs)
            schedules.append(ExponentialDecay(self.lr_decay, steps, done=self.n_iter_))
        if self.mode == "ib" and self.beta_warmup > 0:
            schedules.append(BetaWarmup(int(self.beta_warmup), done=self.n_iter_))
        if self.weight_averaging is not None:
            schedules.append(WeightAveraging(self.weight_averaging))
        return schedules

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """Train on for one pass over X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows: two at least in every call, and not all of them equal, since they are judged
            beside each other. Join a short rest of a stream to the part before it.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of mode="ib". For regression those of the first call fix the scale, mean 0
            and variance 1, in which all later ones are learned: it should be typical.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever be seen; needed in the first call for
            task="classification", optional later. With task="auto" those in the first y are
            taken when this is None.

        Returns
        -------
        MIGEEncoder
            This estimator.
        """
        X, targets = self._prepare(X, y, reset=not self._is_started(), classes=classes, stream=True)
        self._train(X, targets, 1)
        return self

    def _prepare(
        self, X: Any, y: Any, *, reset: bool, classes: Any = None, stream: bool = False
    ) -> tuple[Any, NDArray[Any] | None]:
        """Checked rows and encoded targets, with a network ready to train on them."""
        check_bottleneck(self)
        check_features(self)
        check_views(self)
        if not reset:
            expect_same_network(self, self._asked(self._architecture.n_targets))
        X = check_rows(self, X, reset=reset)
        warn_of_few_differences(self, X.shape[0], stacklevel=5 if stream else 6)
        warn_of_unseen_input(self, stacklevel=5 if stream else 6)
        check_varies(X, "there is no information about them to keep")
        check_float32_resolution(X)
        if reset:
            for name in ("task_", "classes_", "net_", "module_", "beta_", "_class_weights"):
                self.__dict__.pop(name, None)
            self._fit_namespace = namespace_of(X)
            if self.n_components > X.shape[0]:
                warnings.warn(
                    f"n_components={self.n_components} is more than the {X.shape[0]} rows of X: "
                    "no score can be estimated in that many dimensions; use fewer components or "
                    "more rows",
                    UserWarning,
                    stacklevel=4 if stream else 5,
                )
        targets, n_targets = None, 0
        if self.mode == "ib":
            targets, n_targets = self._prepare_targets(X, y, reset, classes, stream)
        if reset:
            self._start(n_targets)
        else:
            self._refresh()
        return X, targets

    def _prepare_targets(
        self, X: Any, y: Any, reset: bool, classes: Any, stream: bool
    ) -> tuple[NDArray[Any], int]:
        """Class indices, or values at mean 0 and variance 1, and the decoder's width."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} with mode='ib' requires y to be passed, but the target y "
                "is None: pass labels or values, or use mode='infomax'"
            )
        y = as_numpy(y)
        dtype = np.asarray(y).dtype
        task = resolve_task(self.task, y if classes is None else classes) if reset else self.task_
        y = check_targets(self, X, y, task)
        if reset and self.task == "auto" and task == "classification" and classes is None:
            warn_of_many_classes(y, stacklevel=6 if stream else 7)
        if reset:
            self.task_ = task
        check_likelihood(self, task)
        if task == "classification":
            self._set_classes(y, reset, classes, stream)
            indices = check_classes(y, self.classes_)
            self._set_class_weights(y, stream)
            return indices, len(self.classes_)
        columns = y.reshape(len(y), -1)
        if reset:
            self._flat_target = y.ndim == 1
            self._target_dtype = "float32" if dtype == np.float32 else "float64"
            self._target_scaler = StandardScaler().fit(columns)
        elif columns.shape[1] != self._target_scaler.n_features_in_:
            raise ValueError(
                f"y has {columns.shape[1]} targets, but fit saw "
                f"{self._target_scaler.n_features_in_}"
            )
        return self._target_scaler.transform(columns), columns.shape[1]

    def _set_classes(self, y: NDArray[Any], reset: bool, classes: Any, stream: bool) -> None:
        if reset:
            if stream and classes is None and self.task == "classification":
                raise ValueError(
                    "classes must be passed on the first call to partial_fit: all labels that "
                    "will ever be seen"
                )
            self.classes_ = find_classes(y if classes is None else np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )

    def _set_class_weights(self, y: NDArray[Any], stream: bool) -> None:
        if stream and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all of y at once, which partial_fit does not see: "
                "give the weights as a dict {class: weight}"
            )
        self._class_weights = None
        if self.class_weight is not None:
            self._class_weights = compute_class_weight(
                self.class_weight, classes=self.classes_, y=y
            )
