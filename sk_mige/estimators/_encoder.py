"""MIGEEncoder: representations trained by gradients of mutual information."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Subset

from sk_mige._contexts import building, built_apart
from sk_mige._warnings import warn_user
from sk_mige.information.copies import other_rows
from sk_mige.networks import Architecture, EncoderNetwork, evaluate
from sk_mige.networks.evaluation import averaged_predictions, output_function
from sk_mige.networks.marginal import CodeMarginal, code_moments, marginal_of
from sk_mige.objectives import Objective, Problem
from sk_mige.objectives.base import Description, ShorthandMixin
from sk_mige.objectives.modes import as_description, kind_of, task_of, why_missing
from sk_mige.training import Trainer
from sk_mige.training.alignment import align_to_input
from sk_mige.training.checkpoint import settings_in_words
from sk_mige.training.data import ArrayDataset, read_parts, resident
from sk_mige.training.device import device_of_stored, resolve_device, seeded
from sk_mige.training.processes import join_processes, n_processes
from sk_mige.training.progress import EpochTasks
from sk_mige.training.schedules import make_schedule
from sk_mige.training.targets import (
    TargetScaler,
    as_numpy,
    check_targets,
    check_weights,
    encode_labels,
    numeric_targets,
    split_rows,
)

from ._base import TRAINING, as_sizes, expect_unchanged, set_task
from ._inputs import check_inputs, check_out, check_queries, check_training_inputs
from ._rows import by_blocks, is_dask, like_input, namespace_of, own_targets, reference, to_rows
from ._ssge import RandomProjectionSSGE, SSGEScoreEstimator, as_score_estimator
from ._stored import from_numpy, to_numpy


def _predicts(encoder: Any) -> bool:
    return task_of(encoder.mode) is not None


def _classifies(encoder: Any) -> bool:
    return task_of(encoder.mode) == "classification"


class MIGEEncoder(
    ShorthandMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Encoder trained by mutual information gradient estimation (MIGE).

    With ``mode="infomax"``, training needs no targets. A network :math:`z = E_\phi(x)` learns to
    maximise the mutual information I(x; z) between input x and output z. Training follows the
    gradient

    .. math:: \nabla_\phi I(x; z) = -\mathbb{E}\big[(\nabla_z \log q(z)
              - \nabla_z \log q(x, z))^\top \nabla_\phi z\big].

    The scores :math:`\nabla_z \log q` are estimated from each batch [1]_.

    With ``mode="ib"``, the network is an information bottleneck. The bottleneck is trained to
    predict y from a representation z that keeps little other information about x. Training
    minimises :math:`-\mathbb{E}\log p(y | z) + \beta\, I(z; x)`.

    Parameters
    ----------
    n_components : int, default=64
        Dimension of the representation z.
    mode : {"infomax", "ib"}, InfoMax, InformationBottleneck or callable, default="infomax"
        Objective of the training. The name "infomax" is short for ``InfoMax()``. The name "ib" is
        short for ``InformationBottleneck()``. The parameters of the objective are nested parameters
        of the encoder, even if ``mode`` is a name. For example, ``set_params(mode__beta=0.1)`` sets
        β, and a search can vary ``mode__beta``. With ``mode="ib"``, the encoder is a classifier.
        With ``mode=InformationBottleneck(task="regression")``, the encoder is a regressor.

        A callable or ``torch.nn.Module`` is a custom loss, called as ``loss(code, x, y)`` for each
        batch. The argument ``code`` is a :class:`sk_mige.networks.Code`, ``x`` are the rows, and
        ``y`` are the targets, or zeros if ``fit`` has no y. The loss returns a scalar tensor. With
        a custom loss, z is the output of the network ``encoder``.
    score_estimator : SSGEScoreEstimator or RandomProjectionSSGE, default=None
        Score estimator whose settings are used to estimate the scores of each batch. The estimator
        itself is not fitted. Only ``n_eigen``, ``eigen_threshold``, ``alpha``, ``bandwidth``,
        ``kernel`` and the projection parameters are used. A projection applies to x, never to z. If
        ``random_state`` of the score estimator is None, ``random_state`` of the encoder is used.

        None means SSGE with the median bandwidth and a ridge, ``alpha=1e-4``. For a spectral
        cutoff, as in the paper [1]_, use ``SSGEScoreEstimator(eigen_threshold=0.999)``. A
        bottleneck that estimates scores uses the cutoff 0.999 by default.

        The parameter must be None if a method other than MIGE estimates the information. The
        default bottleneck does not estimate scores, so a score estimator has no effect and causes a
        warning.
    encoder : {"mlp", "conv"}, torch.nn.Module or callable, default="mlp"
        Network that maps rows to the inputs of the head. The head computes z. A module is copied to
        float32, and training starts from the weights of the module. A callable, such as
        ``partial(MLPEncoder, dropout=0.1)``, returns the module. The arguments of the callable are
        ``(n_features, n_outputs)``, or ``(input_shape, n_outputs)`` if ``input_shape`` is given or
        X has more than two dimensions.

        The number of outputs depends on the head. A deterministic head needs ``n_components``
        outputs. A Gaussian head needs ``2 * n_components`` outputs, first the means and then the
        scales. An implicit head needs ``n_components + 64`` outputs, first the means and then the
        thresholds.
    hidden_layer_sizes : sequence of int or int, default=(512, 512)
        Widths of the hidden layers of ``encoder="mlp"``. A number is the width of a single hidden
        layer.
    input_shape : tuple of int, default=None
        Shape of an input inside the network, such as (channels, height, width). None means the
        shape of the inputs in X. For ``encoder="conv"``, inputs of shape (height, width) become
        inputs of shape (1, height, width). If X is two-dimensional, ``encoder="conv"`` requires
        ``input_shape``. A shape that contradicts the inputs in X raises an error.
    max_epochs : int, default=30
        Number of passes over the data.
    batch_size : int, default=256
        Largest number of rows in a batch. Each gradient is estimated from one batch. Batch sizes
        differ by at most one row.
    lr : float, default=1e-3
        Initial learning rate.
    lr_schedule : {"cosine", "constant"}, callback or scheduler class, default="cosine"
        Schedule of the learning rate within a call to ``fit``. With "cosine", the learning rate
        falls to 0 along a half cosine. Other schedules are skorch callbacks, such as
        :class:`sk_mige.training.ExponentialDecay`, and classes of ``torch.optim.lr_scheduler``. Use
        ``functools.partial`` to pass arguments to a class. If ``callbacks`` contains skorch's
        ``LRScheduler``, "cosine" has no effect. In ``partial_fit``, the learning rate is constant.
    optimizer : {"adam", "adamw", "sgd"} or callable, default="adam"
        Optimizer. A class or factory is called with the parameters of the network and ``lr``.
    callbacks : list, default=None
        Callbacks of skorch: classes, instances or pairs ``(name, callback)``. ``fit`` copies the
        callbacks. Examples are ``EarlyStopping``, :class:`sk_mige.training.Checkpoint`,
        :class:`sk_mige.training.BetaWarmup` and :class:`sk_mige.training.WeightAveraging`. The
        method ``set_callbacks`` sets scikit-learn's callbacks.
    validation_fraction : float, default=None
        Fraction of the rows that ``fit`` holds out. ``history_`` records the loss of the held-out
        rows as ``valid_loss``, which callbacks such as ``EarlyStopping`` monitor. For a bottleneck,
        ``valid_loss`` is the negative log-likelihood of y. For InfoMax with a critic's bound of
        I(x; z), ``valid_loss`` is the negative bound. For InfoMax with MIGE, ``valid_loss`` is
        minus ``score`` of the held-out rows, in nats. The same holds for InfoMax with ``layer`` or
        with several views. For a custom loss, ``valid_loss`` is the loss of the held-out rows.
    mixed_precision : bool, default=False
        Whether the encoder and the critic multiply matrices in bfloat16 during training.
        Convolutions are then faster on hardware that supports bfloat16, and slower on other
        hardware. Weights and likelihoods are float32, and scores are float32 or float64. After
        ``fit``, the network computes in float32.
    distributed : bool, default=False
        Whether the processes that torchrun started train one encoder together. Each process
        contributes ``batch_size`` rows to a joint batch. Every process must call ``fit`` with the
        same X. In a single process, the parameter has no effect.
    device : str or torch.device, default="auto"
        Device of the network. The value "auto" means CUDA if available, else the CPU.
    output : str, default=None
        Output of ``transform``. None means z, or the mean of z given x if the head is stochastic.
        "sample" means one draw of z. Any other value is the name of a submodule of ``encoder``, and
        ``transform`` returns the flattened output of the submodule. The submodules of "mlp" are
        "hidden1", "hidden2", … and "Y". The submodules of "conv" are "conv", "fc" and "Y".
        ``output`` can be set after ``fit``.
    warm_start : bool, default=False
        Whether ``fit`` continues from the weights of the previous call. Parameters such as ``lr``,
        ``batch_size``, ``callbacks``, ``score_estimator`` and ``mode__beta`` can be changed between
        the calls. Changes of the network, of ``optimizer`` or of ``device`` raise an error.
    verbose : int, default=0
        Verbosity level. With 1, a progress bar is shown. With 2, a line is printed for each epoch.
    random_state : int, RandomState or None, default=None
        Seed for the initial weights, the batches and the noise. ``fit`` does not change the global
        generators of torch and NumPy. With ``warm_start`` and ``partial_fit``, only the value at
        the first call is used.

    Attributes
    ----------
    module_ : torch.nn.Module
        Trained network, with the parts ``encoder``, ``head`` and ``decoder``.
    net_ : skorch.NeuralNet
        Net that trained ``module_``.
    history_ : list of dict
        One record for each epoch: ``epoch``, ``train_loss``, ``valid_loss`` if rows are held out,
        ``dur`` in seconds and values that callbacks record. The loss of InfoMax with MIGE has a
        meaningful gradient, but no meaningful value.
    n_iter_ : int
        Number of finished epochs.
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels, for classification only.
    task_ : str
        Task of the bottleneck, "classification" or "regression".
    beta_ : float
        Weight β of I(z; x) at the end of training, for a bottleneck only. If ``beta`` of ``mode``
        is a pair, ``beta_`` is the geometric mean of the pair.
    information_ : float
        Upper bound of I(z; x) in nats, averaged over about the last 20 batches, with
        ``max_information`` only.
    n_features_in_ : int
        Number of features seen during ``fit``, the number of values in an input.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has string names.

    See Also
    --------
    InfoMax : Objective without targets, and its parameters.
    InformationBottleneck : Objective with targets, and its parameters.
    SSGEScoreEstimator : Score estimator of the gradient.
    RandomProjectionSSGE : Score estimator for inputs of many dimensions.

    Notes
    -----
    The networks compute in float32. Results of ``transform`` have the dtype of X if X is float32 or
    float64. For arrays of integers, results are float32. For arrays of float16, for data frames of
    polars, and for integers in lists and data frames, results are float64. For data sets, results
    are float64 if the inputs are float64, and float32 otherwise. In a regression, predicted values
    are float32 if the targets of ``fit`` were float32, and float64 otherwise.

    On a CPU, a small network is trained and evaluated in one thread. In a small network, all layers
    with weights are linear layers or batch norms. A small network has no concatenated critic, and
    at most 2·10⁹ floating-point operations in a training step. A training step of a network with W
    weights takes 6 · W · ``batch_size`` operations. With the same seed, the results of a small
    network do not depend on threads, cores or ``n_jobs`` of a search. Larger networks and
    convolutions use all threads of torch, and their results depend on the number of threads.

    Interrupting ``fit`` with Ctrl-C leaves a usable encoder.

    Pickles load on machines without a GPU. After loading, ``partial_fit`` continues with a new
    optimizer. The package skops cannot store an encoder if ``encoder`` is a module. Pass a function
    that returns the module.

    References
    ----------
    .. [1] L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
       Representation Learning", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(n_components=16, max_epochs=2, random_state=0)
    >>> encoder.fit_transform(X).shape
    (1797, 16)

    A classifier with an information bottleneck:

    >>> bottleneck = MIGEEncoder(n_components=16, mode="ib", max_epochs=5, random_state=0)
    >>> bottleneck.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.8
    True

    A custom loss, here the negative log-determinant of the covariance of z:

    >>> import torch
    >>> def spread(code, x, y):
    ...     return -torch.logdet(torch.eye(16) + code.z.T.cov())
    >>> MIGEEncoder(16, mode=spread, max_epochs=2, random_state=0).fit_transform(X).shape
    (1797, 16)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "mode": [object],  # as_description checks the value
        "score_estimator": [SSGEScoreEstimator, None],
        "encoder": [StrOptions({"mlp", "conv"}), nn.Module, callable],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "input_shape": ["array-like", None],
        **TRAINING,
        "lr_schedule": [StrOptions({"cosine", "constant"}), Callback, callable],
        "optimizer": [StrOptions({"adam", "adamw", "sgd"}), callable],
        "callbacks": [list, tuple, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "mixed_precision": ["boolean"],
        "distributed": ["boolean"],
        "output": [str, None],
        "warm_start": ["boolean"],
    }
    _shorthands = {"mode": as_description, "score_estimator": as_score_estimator}

    # Pipelines must not route the output array as metadata.
    __metadata_request__transform: ClassVar[dict[str, str]] = {"out": UNUSED}
    __metadata_request__score: ClassVar[dict[str, str]] = {"shuffled": UNUSED}

    classes_: NDArray[Any]
    beta_: float
    information_: float
    _class_weights: NDArray[np.float32] | None = None
    _marginal: CodeMarginal | None = None

    def __init__(
        self,
        n_components: int = 64,
        *,
        mode: str | Description | Callable[..., Tensor] = "infomax",
        score_estimator: Any = None,
        encoder: str | nn.Module | Callable[..., nn.Module] = "mlp",
        hidden_layer_sizes: Any = (512, 512),
        input_shape: tuple[int, ...] | None = None,
        max_epochs: int = 30,
        batch_size: int = 256,
        lr: float = 1e-3,
        lr_schedule: Any = "cosine",
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adam",
        callbacks: list[Any] | None = None,
        validation_fraction: float | None = None,
        mixed_precision: bool = False,
        distributed: bool = False,
        device: str | torch.device = "auto",
        output: str | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.mode = mode
        self.score_estimator = score_estimator
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.callbacks = callbacks
        self.validation_fraction = validation_fraction
        self.mixed_precision = mixed_precision
        self.distributed = distributed
        self.device = device
        self.output = output
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    # ---------------------------------------------------------------- fitting

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the encoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Dense inputs with finite values. Arrays of more than two dimensions hold images or other
            inputs with a shape, such as (channels, height, width).

            A data set has ``__len__`` and ``__getitem__``: a ``torch.utils.data.Dataset``,
            skorch's ``SliceDataset``, or a Hugging Face data set after ``with_format("torch")``.
            An item is an input, a pair (input, target), or a mapping. In a mapping, the target is
            the entry "label", "labels" or "target". The input is the only other entry with at least
            one dimension. All inputs must be tensors or arrays of the same shape and dtype. Items
            are read batch by batch, and no batch is kept in memory.

            With ``DataLoader(dataset, batch_size=None, num_workers=4)``, four worker processes read
            the items. Other loaders raise an error, because ``batch_size`` and ``random_state`` of
            the encoder determine the batches.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of a bottleneck, or numeric targets of a custom loss. InfoMax ignores the
            targets. If None, the targets of a data set are used, which requires one pass over its
            items. The pass is omitted if the data set has an attribute ``targets`` or ``labels``
            that agrees with the first and the last item.

        Returns
        -------
        MIGEEncoder
            This estimator.

        Raises
        ------
        ValueError
            If inputs are constant, too few or non-finite, or if targets do not suit the task. The
            error is also raised if parameters contradict each other, or if the network does not
            suit the data. A further cause is an item of a data set that cannot be read, or that
            differs from the first item in shape or dtype. After an error during training, the
            network has the weights of the last training step.
        TypeError
            If X is sparse, a path, a data set without a length, or a loader that makes batches. The
            error is also raised if items of a data set are neither tensors nor arrays. A loss
            function that does not take the arguments (code, x, y) also raises the error.
        RuntimeError
            If ``device`` names a device that this machine lacks.

        Warns
        -----
        ConvergenceWarning
            If the loss or the weights became infinite or NaN. Training then stops and restores the
            weights of the last finite loss. The warning is also given if the representation is the
            same for all rows, or if the information exceeds ``max_information``.
        UserWarning
            If the range of a column is less than 16 spacings of float32 numbers, or if outliers
            dominate the standard deviation of a column. The warning is also given if squares of
            values overflow in float32, or if values are too small for the batch norms of a
            bottleneck. For a data set, these checks read the first 256 items.
        """
        context = self._init_callback_context(max_subtasks=int(self.max_epochs))
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        reset = not (self.warm_start and hasattr(self, "net_"))
        X, targets = self._prepare(X, y, reset=reset)
        schedule = make_schedule(self.lr_schedule, int(self.max_epochs), self.callbacks)
        callbacks = [EpochTasks(self, context), *schedule]
        self._train(X, targets, int(self.max_epochs), callbacks, self.validation_fraction)
        if reset and self.n_iter_ > int(self.max_epochs):
            raise ValueError(
                f"callbacks: the checkpoint holds {self.n_iter_} epochs, more than "
                f"max_epochs={self.max_epochs}: increase max_epochs, or delete the file"
            )
        rows = to_rows(X)
        # Random transforms of a data set draw from torch's generators.
        with self._trainer.threads(), seeded(self._seed, self._device):
            if self._architecture.n_targets:
                by_class = targets if self.task_ == "classification" else None
                self._marginal = marginal_of(self.module_, rows, by_class, self._seed, read_parts)
            if self._description.output_scale == "input":
                align_to_input(self.module_, rows, self.net_.generator)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """Train for one pass over X, without resetting the weights of earlier calls.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``. Every call needs at least two different inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of a bottleneck. For regression, the mean and variance of the targets in the
            first call are used to standardise the targets in all calls. The targets in the first
            call should therefore be representative.
        classes : array-like of shape (n_classes,), default=None
            All labels that can occur. For classification, ``classes`` is required in the first
            call.

        Returns
        -------
        MIGEEncoder
            This estimator.
        """
        reset = not hasattr(self, "net_")
        X, targets = self._prepare(X, y, reset=reset, classes=classes, stream=True)
        self._train(X, targets, 1)
        return self

    @property
    def _description(self) -> Description:
        return as_description(self.mode)

    def _prepare(
        self, X: Any, y: Any, *, reset: bool, classes: Any = None, stream: bool = False
    ) -> tuple[Any, NDArray[Any] | None]:
        """Validate rows, encode targets, and create the network or update its trainer."""
        description = self._description
        description.check()
        if self.score_estimator is not None:
            projects = isinstance(self.score_estimator, RandomProjectionSSGE)
            description.check_score_estimator(projects=projects)
        if not reset:
            expect_unchanged(
                self._fixed,
                self._fixed_parameters(),
                "partial_fit and warm_start=True continue the training of the same network, which "
                "must not change. Restore the old value, or call fit with warm_start=False",
            )
        known = self.input_shape if reset else self._architecture.input_shape
        task = description.task
        X, shape = check_training_inputs(self, X, reset=reset, shape=known, task=task)
        n_rows, n_components = X.shape[0], int(self.n_components)
        if n_components <= n_rows:
            n_batches = -(-n_rows // self._largest_batch())
            description.warn(-(-n_rows // n_batches), n_components)
        elif reset:
            warn_user(
                f"n_components={n_components} exceeds the {n_rows} rows of X, which are too few to "
                "estimate scores of z: use fewer components or more rows"
            )
        if reset:
            for name in ("task_", "classes_", "net_", "module_", "beta_", "information_"):
                self.__dict__.pop(name, None)
            self._class_weights, self._fit_namespace = None, namespace_of(X)
        targets, n_targets = self._encode_targets(X, y, reset, classes, stream)
        if reset:
            self._start(shape, n_targets)
        else:
            with building(self._device):
                self._trainer.update(self._objective(), **self._run_settings())
        return X, targets

    def _encode_targets(
        self, X: Any, y: Any, reset: bool, classes: Any, stream: bool
    ) -> tuple[NDArray[Any] | None, int]:
        """Return class indices or standardised targets, and the decoder's number of outputs."""
        description = self._description
        if description.task is None and not description.takes_targets():
            return None, 0
        y = own_targets(X) if y is None else y
        if description.task is None:
            return (None if y is None else numeric_targets(y, X.shape[0])), 0
        dtype = np.asarray(as_numpy(y)).dtype
        self.task_ = description.task
        y = check_targets(self, X, y, self.task_)
        if self.task_ == "classification":
            known = None if reset else self.classes_
            self.classes_, indices, self._class_weights = encode_labels(
                y, classes, known, description.class_weight, stream=stream
            )
            return indices, len(self.classes_)
        if reset:
            self._target_scaler = TargetScaler(y, dtype)
        values = self._target_scaler.training_values(y)
        return values, values.shape[1]

    def _start(self, input_shape: tuple[int, ...] | None, n_targets: int) -> None:
        """Create a new network and its trainer."""
        self._architecture = Architecture(
            n_features=self.n_features_in_,
            n_components=int(self.n_components),
            encoder=self.encoder,
            hidden_layer_sizes=as_sizes(self.hidden_layer_sizes, self.encoder),
            input_shape=input_shape,
            n_targets=n_targets,
            mixed_precision=self.mixed_precision,
            **self._description.architecture(),
        )
        self._device = resolve_device(self.device)
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if self.distributed:
            self._device, self._seed = join_processes(self._device, self._seed)
        self._fixed = self._fixed_parameters()
        self.history_: list[dict[str, Any]] = []
        self.n_iter_ = 0
        with seeded(self._seed, self._device), building(self._device):
            module = self._architecture.build()
            if self.output not in (None, "sample"):
                module.check_layer("output", str(self.output))
            if self._class_weights is not None:
                module.shift_log_odds(torch.tensor(self._class_weights))
            self._make_trainer(module)

    def _make_trainer(self, module: EncoderNetwork) -> None:
        self.module_ = module.to(self._device)
        self._trainer = Trainer(
            self.module_,
            self._objective(),
            optimizer=self.optimizer,
            device=self._device,
            # Loading a pickle starts a new generator, which must not repeat the first batches.
            seed=self._seed + self.n_iter_,
            epochs_before=self.n_iter_,
            distributed=self.distributed,
            name=type(self).__name__,
            **self._run_settings(),
        )
        self.net_ = self._trainer.net

    def _run_settings(self) -> dict[str, Any]:
        """Return the parameters of the trainer that may change between runs."""
        names = ("lr", "batch_size", "callbacks", "verbose")
        return {name: getattr(self, name) for name in names}

    def _objective(self) -> Objective:
        description, architecture = self._description, self._architecture
        estimator = as_score_estimator(self.score_estimator)
        of_rows = (architecture.n_features, self._seed, self._largest_batch())
        weights = self._class_weights
        return description.build(
            Problem(
                n_features=architecture.n_features,
                n_components=architecture.n_components,
                n_targets=architecture.n_targets,
                device=self._device,
                score=estimator._training_score("infomax" if description.task is None else "ib"),
                projection=estimator._training_projection(*of_rows),
                feature_shape=self.module_.feature_shape,
                mixed_precision=architecture.mixed_precision,
                class_weights=None if weights is None else torch.tensor(weights),
            )
        )

    def _train(
        self, X: Any, y: Any, epochs: int, callbacks: Any = (), fraction: float | None = None
    ) -> None:
        """Train for some epochs, and update the fitted attributes even after an error."""
        net = self.net_
        seed = int(torch.randint(2**31 - 1, (1,), generator=net.generator, device="cpu"))
        data: Any = ArrayDataset(resident(to_rows(X), self._device), y)
        held_out = None
        if fraction is not None:
            by_class = (y, self.classes_) if _classifies(self) else ()
            parts = split_rows(
                f"validation_fraction={fraction}", len(data), fraction, self._seed, *by_class
            )
            data, held_out = (Subset(data, rows) for rows in parts)
        known = len(net.history)
        settings = settings_in_words(self.explicit_params())
        self._marginal = None
        try:
            with seeded(seed + net.rank, self._device):
                self._trainer.run(
                    data,
                    epochs=epochs,
                    callbacks=callbacks,
                    held_out=held_out,
                    settings=settings,
                    read=self._read_rows,
                )
        finally:
            self.history_ = self.history_ + self._trainer.records(known)
            self.n_iter_ = len(self.history_)
            self.__dict__.update(net.criterion_.fitted_attributes())

    def _read_rows(self, X: Any) -> Any:
        """Validate further inputs of a fitted encoder, and return them as rows (n, d)."""
        return to_rows(check_inputs(self, X, reset=False, shape=self._architecture.input_shape)[0])

    def _largest_batch(self) -> int:
        """Return the largest number of rows in a joint batch of all processes."""
        return int(self.batch_size) * (n_processes() if self.distributed else 1)

    def _fixed_parameters(self) -> dict[str, Any]:
        """Return the parameters that must not change while the same network is trained."""
        names = ("n_components", "encoder", "mixed_precision", "optimizer", "device", "distributed")
        settings = self._description.network_settings()
        return {
            "mode": kind_of(self._description),
            **{name: getattr(self, name) for name in names},
            "hidden_layer_sizes": as_sizes(self.hidden_layer_sizes, self.encoder),
            "input_shape": None if self.input_shape is None else tuple(self.input_shape),
            **{f"mode__{name}": value for name, value in settings.items()},
        }

    # ---------------------------------------------------------------- results

    def at_beta(self, beta: float) -> Self:
        """Return the encoder for a single weight β, after training with a range of weights.

        ``at_beta`` does not train. The returned encoder has a copy of the network, and its ``mode``
        has the given ``beta`` instead of the range. ``partial_fit`` of the returned encoder trains
        with the given ``beta``.

        Parameters
        ----------
        beta : float
            Weight from low to high, if ``fit`` used ``InformationBottleneck(beta=(low, high))``.

        Returns
        -------
        MIGEEncoder
            Fitted encoder that shares no memory with the original encoder.

        Raises
        ------
        ValueError
            If ``beta`` is outside of the range, or if the encoder was trained with a single β.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sk_mige import InformationBottleneck, MIGEEncoder
        >>> X, y = load_digits(return_X_y=True)
        >>> mode = InformationBottleneck(beta=(1e-3, 1.0))
        >>> encoder = MIGEEncoder(8, mode=mode, max_epochs=5, random_state=0).fit(X, y)
        >>> weak, strong = (encoder.at_beta(beta) for beta in (1e-3, 1.0))
        >>> bool(weak.transform(X).std() > strong.transform(X).std())
        True
        """
        check_is_fitted(self, "net_")
        state = copy.deepcopy(self.__getstate__())
        architecture = state["_architecture"].at_beta(beta)
        state["mode"].set_params(beta=architecture.beta)
        # The marginal density was estimated from codes for another weight β.
        state.update(_architecture=architecture, beta_=architecture.beta, _marginal=None)
        fixed = type(self)()
        fixed.__setstate__(state)
        fixed._fixed = fixed._fixed_parameters()
        return fixed

    def transform(self, X: Any, out: NDArray[Any] | None = None) -> Any:
        """Return the representation of each input.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.
        out : ndarray of shape (n_samples, n_components), default=None
            Writable array of floats, such as a memory map, that is filled batch by batch and
            returned. If None, a new array is created.

        Returns
        -------
        array of shape (n_samples, n_components)
            Representations z, or means of z given x if the head is stochastic. If ``output`` is
            set, the result is one draw of z or the output of a submodule. For a Dask array, the
            result is a Dask array.
        """
        check_is_fitted(self, "net_")
        if is_dask(X):
            if out is not None:
                raise ValueError("out must be None for a Dask array; store the result by da.store")
            return by_blocks(self.transform, X, self._n_features_out, np.float32)
        X = self._queries(X, "transform")
        function = output_function(self.module_, self.output, self._seed)
        if out is not None:
            check_out(out, (X.shape[0], self._n_features_out))
            return self._evaluate(function, X, out)
        return like_input(self._evaluate(function, X), X)

    def _queries(self, X: Any, method: str) -> Any:
        """Return validated inputs as rows, and raise if a prediction needs a missing decoder."""
        check_is_fitted(self, "net_")
        if method != "transform" and _predicts(self) and self._architecture.n_targets == 0:
            raise NotFittedError(
                f"{type(self).__name__} was fitted without targets before mode={self.mode!r:.80} "
                "was set: call fit(X, y) again"
            )
        return check_queries(self, X, method, self._architecture.input_shape)

    @available_if(_predicts)
    def predict(self, X: Any) -> Any:
        """Return the most probable class, or the expected value, of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets)
            Classes, or real values in the units of the targets of ``fit``. Values are float32 if
            the targets of ``fit`` were float32, else float64.
        """
        X = self._queries(X, "predict")
        answers = self._answers(X)
        if self.task_ == "classification":
            return like_input(answers, X, keep_dtype=True)
        return self._target_scaler.like_targets(answers, reference(X))

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, in the order of ``classes_``.

        Probabilities are averages over ``n_prediction_samples`` draws of z. Every row and every
        call use the same noise. With ``n_prediction_samples=0``, probabilities are computed from
        the mean of z.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Probabilities, whose sum is 1 in each row.
        """
        X = self._queries(X, "predict_proba")
        return like_input(self._mean_predictions(X), X)

    @available_if(_predicts)
    def score_samples(self, X: Any) -> Any:
        r"""Return a measure of how typical each row is of the training data.

        Small values indicate novel rows. With a Gaussian head, the returned value is minus an upper
        bound of the rate :math:`\mathrm{KL}(q(z | x)\,\|\,m)` of a row, in nats:

        .. math:: \log\sum_c w_c \exp\big(-\mathrm{KL}(q(z | x)\,\|\,m_c)\big)
                  \le -\mathrm{KL}(q(z | x)\,\|\,m), \qquad m = \sum_c w_c\, m_c .

        The density m(z) is a mixture of Gaussians with independent components, one Gaussian for
        each class. For a regression, m is a single Gaussian. ``fit`` estimates m from z of at most
        10,000 training rows. With a deterministic head, the value is log m(z). With an
        implicit head, the value is log m at the mean of z.

        The method has the same name and sign as in scikit-learn's density estimators and outlier
        detectors. If the head is not Gaussian, the values depend on the units of z and are not
        comparable between encoders.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.

        Returns
        -------
        array of shape (n_samples,)
            Values in nats. With a Gaussian head, minus the mean value on training rows is an upper
            bound of I(x; z).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder is not fitted, or if ``fit`` has not estimated m for the present network.
            ``partial_fit`` and ``at_beta`` do not estimate m.
        """
        X = self._queries(X, "score_samples")
        if (marginal := self._marginal) is None:
            raise NotFittedError(
                "score_samples needs the density of z, which partial_fit and at_beta do not "
                "estimate: call fit(X, y), with warm_start=True to keep the weights"
            )

        def log_density(x: Tensor) -> Tensor:
            return marginal.log_density(code_moments(self.module_, x))

        return like_input(self._evaluate(log_density, X), X)

    def score(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, shuffled: bool = False
    ) -> float:
        """Return the information in z in nats, or the accuracy or R² of predictions.

        If ``mode`` has no decoder, the score compares the representations of two incomplete copies
        of each row. The score is their mutual information under a Gaussian model
        (:func:`sk_mige.information.copies.shared_information`). In each copy, the column mean
        replaces each value with probability ½. Up to 666 rows, the score is computed from min(n,
        2000 // n) copies of each row instead of two. A higher score is better. The scores of
        different encoders are comparable on the same X. For independent columns and many rows, the
        score is at most 0.144 nats for each component, because the copies have values in common.
        Searches without y maximise this score. The score is computed from z for every value of
        ``output``. :func:`~sk_mige.metrics.representation_score` computes this score for other
        transformers.

        For a bottleneck, the score is the accuracy for classification and R² for regression.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs as in ``fit``, usually held out.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            True targets, ignored if ``mode`` has no decoder. If X is a data set, None means the
            targets of its items.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row for the accuracy or R², at least 0. The parameter must be None if
            ``mode`` has no decoder.
        shuffled : bool, default=False
            Whether to compare each copy with the copy of another row, and each prediction with the
            target of another row. The result is a reference value: the score of representations or
            predictions without information about the row.

        Returns
        -------
        float
            Mutual information in nats (at least 0), accuracy, or R². The mutual information is NaN
            if z is not finite.
        """
        rows = self._queries(X, "score")
        if not _predicts(self):
            if sample_weight is not None:
                raise ValueError(
                    f"sample_weight must be None with mode={self.mode!r:.80}: only "
                    "the accuracy and R² of predictions can be weighted"
                )
            with self._trainer.threads():
                data = ArrayDataset(to_rows(rows))
                return self.net_.information_of_copies(data, shuffled=shuffled)
        y = own_targets(rows) if y is None else y
        if y is None:
            raise ValueError(
                f"score with mode={self.mode!r:.80} needs y, the true targets; got None: pass y, "
                "or a data set of pairs"
            )
        y = check_targets(self, rows, y, self.task_)
        if shuffled:
            y = y[other_rows(len(y)).numpy()]
        weight = check_weights(sample_weight, y)
        if self.task_ == "regression":
            return self._target_scaler.r2(y, self._mean_predictions(rows), weight)
        return float(accuracy_score(y, self._answers(rows), sample_weight=weight))

    if not TYPE_CHECKING:  # type checkers accept any name of a class with __getattr__

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, and name a remedy if another ``mode`` has the method."""
            reason = why_missing(self.mode, name)
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{reason}")

    def _mean_predictions(self, X: Any, *, most_probable: bool = False) -> NDArray[Any]:
        """Return class probabilities or standardised values, averaged over draws of z.

        With ``most_probable=True``, return the index of the most probable class of each row.
        """
        self._description.check()  # parameters can change after fit
        n_samples = self._description.n_prediction_samples
        average = averaged_predictions(self.module_, n_samples, self._seed, self.task_)
        return self._evaluate((lambda x: average(x).argmax(1)) if most_probable else average, X)

    def _answers(self, X: Any) -> NDArray[Any]:
        """Return the most probable classes, or expected values in float64."""
        if self.task_ == "classification":
            return self.classes_[self._mean_predictions(X, most_probable=True)]
        return self._target_scaler.inverse(self._mean_predictions(X))

    def _evaluate(
        self, function: Callable[[Tensor], Tensor], X: Any, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Evaluate a function on rows with the number of threads that training uses."""
        with self._trainer.threads():
            return evaluate(self.module_, function, to_rows(X), read=read_parts, out=out)

    @property
    def _n_features_out(self) -> int:
        rows = np.zeros((1, self._architecture.n_features), dtype=np.float32)
        function = output_function(self.module_, self.output, self._seed)
        return int(self._evaluate(function, rows).shape[1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        set_task(tags, task_of(self.mode))
        return tags

    # ---------------------------------------------------------------- storage

    def __getstate__(self) -> dict[str, Any]:
        """Return a state without data and tensors, in which weights are NumPy arrays.

        A machine without a GPU can therefore load a model fitted on a GPU, and skops can store the
        model.
        """
        state: dict[str, Any] = dict(super().__getstate__())
        if "net_" not in state:
            return state
        state["_stored_weights"] = to_numpy(state.pop("module_"))
        state["_stored_objective"] = to_numpy(state.pop("net_").criterion_)
        del state["_device"], state["_trainer"]
        # A module that the user passed is stored once, on the CPU.
        state["_architecture"] = self._architecture.on_cpu()
        state["_fixed"] = dict(self._fixed)
        for holder in (state, state["_fixed"]):
            if holder["encoder"] is self._architecture.encoder:
                holder["encoder"] = state["_architecture"].encoder
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the network on ``device``, or on "auto" if ``device`` is not available."""
        # Parameters that are missing in the file have default values.
        state = {**type(self)().get_params(deep=False), **state}
        weights = state.pop("_stored_weights", None)
        objective = state.pop("_stored_objective", None)
        super().__setstate__(state)
        if weights is None:
            return
        self._validate_params()  # parameters can have been set after fit
        self._device = device_of_stored(self.device)
        # The network and its optimizer are created again, with the current parameters.
        self._fixed.update({name: getattr(self, name) for name in ("optimizer", "device")})
        # A user's function may draw from global generators.
        apart = isinstance(self._architecture.encoder, str | nn.Module)
        drawing = built_apart(self._seed) if apart else seeded(self._seed, self._device)
        with drawing, building(self._device):
            module = self._architecture.build()
            from_numpy(module, weights)
            self._make_trainer(module)
            # Parameters that were set after fit may have changed the parts of the objective.
            from_numpy(self.net_.criterion_, objective, strict=False)
