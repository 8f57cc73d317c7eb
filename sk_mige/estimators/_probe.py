"""NonLinearProbe: a small classifier for comparing representations."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sk_mige._contexts import building, built_apart
from sk_mige.networks import MLPEncoder, evaluate
from sk_mige.objectives import FunctionObjective
from sk_mige.training import Trainer
from sk_mige.training.data import ArrayDataset, resident
from sk_mige.training.device import device_of_stored, resolve_device, seeded
from sk_mige.training.targets import check_targets, class_indices, find_classes
from sk_mige.training.threads import threads_for

from ._base import TRAINING, ProbabilisticClassifierMixin
from ._rows import check_float32_resolution, check_rows, to_rows
from ._stored import from_numpy, to_numpy


class NonLinearProbe(ProbabilisticClassifierMixin, BaseEstimator):
    r"""Classifier with one hidden layer for comparing representations.

    The papers on Deep InfoMax and MIGE compare representations by this probe. The network is
    trained on fixed features x, and has weights W, V and b and a batch norm BN:

    .. math:: p(y | x) = \mathrm{softmax}\big(V\, \mathrm{dropout}(\mathrm{ReLU}(
              \mathrm{BN}(W x))) + b\big).

    The optimizer is Adam. The learning rate is divided by 10 after one third and after two thirds
    of the epochs.

    Parameters
    ----------
    hidden_size : int, default=200
        Width of the hidden layer.
    dropout : float, default=0.1
        Probability with which dropout sets each hidden unit to 0 in a training step.
    max_epochs : int, default=150
        Number of passes over the data. The default value is from Deep InfoMax.
    batch_size : int, default=64
        Largest number of rows in a batch. Batch sizes differ by at most one row.
    lr : float, default=1e-4
        Initial learning rate of Adam.
    device : str or torch.device, default="auto"
        Device of the network. The value "auto" means CUDA if available, else the CPU.
    verbose : int, default=0
        Verbosity level. With 1, a progress bar is shown. With 2, a line is printed for each epoch.
    random_state : int, RandomState or None, default=None
        Seed for the initial weights, the batches and dropout. ``fit`` does not change the global
        random generators of torch and NumPy.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    module_ : torch.nn.Module
        Trained network that maps rows to logits.
    history_ : list of dict
        One record for each epoch: ``epoch``, ``train_loss`` in nats and ``dur`` in seconds.
    n_iter_ : int
        Number of finished epochs.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has string names.

    See Also
    --------
    MIGEEncoder : Encoder that learns representations, and can return outputs of inner layers.

    Notes
    -----
    On a CPU, small probes use a single thread. :class:`MIGEEncoder` defines which networks are
    small. With the same seed, the results of a small probe do not depend on the number of threads.

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019.

    Examples
    --------
    The accuracy of a pipeline of encoder and probe measures the quality of a representation:

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sk_mige import MIGEEncoder, NonLinearProbe
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(16, max_epochs=2, random_state=0)
    >>> probe = NonLinearProbe(max_epochs=10, lr=1e-2, random_state=0)
    >>> pipeline = make_pipeline(encoder, probe).fit(X[:1000], y[:1000])
    >>> pipeline.score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        **TRAINING,
    }

    def __init__(
        self,
        hidden_size: int = 200,
        *,
        dropout: float = 0.1,
        max_epochs: int = 150,
        batch_size: int = 64,
        lr: float = 1e-4,
        device: str | torch.device = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Train the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Dense features with finite values.
        y : array-like of shape (n_samples,)
            Class labels, with at least two distinct values.

        Returns
        -------
        NonLinearProbe
            This estimator.

        Raises
        ------
        ValueError
            If values are not finite, rows are too few, the targets are not class labels, or the
            first loss is not finite.

        Warns
        -----
        ConvergenceWarning
            If the loss or the weights became infinite or NaN. Training stops and restores the
            weights of the last finite loss.
        UserWarning
            If Ctrl-C ended the training. The probe keeps the current weights. The warning is also
            given if outliers dominate the standard deviation of a column. Values of X that are too
            small for a batch norm, or whose squares overflow in float32, also cause the warning.
        """
        X = check_rows(self, X, reset=True)
        check_float32_resolution(X)
        y = check_targets(self, X, y, "classification")
        self.classes_ = find_classes(y)
        device = resolve_device(self.device)
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._sizes = (X.shape[1], int(self.hidden_size), len(self.classes_), float(self.dropout))
        data = ArrayDataset(resident(to_rows(X), device), class_indices(y, self.classes_))
        with seeded(self._seed, device):
            with building(device):
                self.module_ = self._network().to(device)
            trainer = Trainer(
                self.module_,
                FunctionObjective(lambda logits, x, y: cross_entropy(logits, y), classifies=True),
                lr=self.lr,
                batch_size=self.batch_size,
                device=device,
                seed=self._seed,
                callbacks=[self._schedule()],
                verbose=self.verbose,
                name=type(self).__name__,
            )
            self.history_ = trainer.run(data, epochs=self.max_epochs)
        self.n_iter_ = len(self.history_)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities. Each row sums to 1.
        """
        return self._evaluate(lambda logits: logits.double().softmax(1), X)

    def _most_probable(self, X: Any) -> NDArray[np.int64]:
        return self._evaluate(lambda logits: logits.argmax(1), X)

    def _evaluate(self, function: Callable[[Tensor], Tensor], X: Any) -> NDArray[Any]:
        """Evaluate a function of the logits of each chunk of rows."""
        check_is_fitted(self, "module_")
        rows = to_rows(check_rows(self, X, reset=False, min_rows=1))
        with threads_for(self.module_, nn.Identity(), self.batch_size):
            return evaluate(self.module_, lambda x: function(self.module_(x)), rows)

    def _network(self) -> nn.Module:
        n_features, hidden_size, n_classes, dropout = self._sizes
        network = MLPEncoder(n_features, n_classes, hidden_size, dropout=dropout)
        return network.float()  # for every default dtype of torch

    def _schedule(self) -> LRScheduler:
        falls = sorted({-(-int(self.max_epochs) * third // 3) for third in (1, 2)})
        return LRScheduler("MultiStepLR", milestones=falls, gamma=0.1)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling, with weights as NumPy arrays."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "module_" in state:
            state["_stored_weights"] = to_numpy(state.pop("module_"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the network on ``device``, or on "auto" if ``device`` is not available."""
        state = dict(state)
        weights = state.pop("_stored_weights", None)
        super().__setstate__(state)
        if weights is not None:
            with built_apart(self._seed):
                module = self._network().eval()
                # Files of earlier versions have other names, in the same order.
                from_numpy(module, dict(zip(module.state_dict(), weights.values(), strict=True)))
                self.module_ = module.to(device_of_stored(self.device))
