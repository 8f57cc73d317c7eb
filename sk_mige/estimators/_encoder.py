"""MIGEEncoder: representations trained by gradients of mutual information."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
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
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import ClassifierTags, RegressorTags, Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Subset

from sk_mige._warnings import warn_user
from sk_mige.information.copies import other_rows
from sk_mige.networks import Architecture, EncoderNetwork, evaluate
from sk_mige.networks.marginal import MARGINAL_ROWS, CodeMarginal, code_moments
from sk_mige.objectives import (
    BottleneckLoss,
    InfoMax,
    InformationBottleneck,
    Objective,
    Problem,
    default_training_score,
)
from sk_mige.objectives.base import Description, FunctionDescription, ShorthandMixin
from sk_mige.training import (
    ArrayDataset,
    EncoderNet,
    Trainer,
    available_device,
    join_processes,
    read_parts,
    resident,
    resolve_device,
    seeded,
)
from sk_mige.training.alignment import align_to_input
from sk_mige.training.checkpoint import settings_in_words
from sk_mige.training.device import building, built_apart
from sk_mige.training.progress import EpochTasks
from sk_mige.training.schedules import has_lr_scheduler, make_schedule

from ._base import DocLinkMixin, as_sizes, expect_unchanged, from_numpy, to_numpy
from ._inputs import check_inputs, check_out, check_queries
from ._rows import (
    by_blocks,
    check_float32_resolution,
    check_varies,
    is_dask,
    like_input,
    namespace_of,
    own_targets,
    reference,
    to_rows,
)
from ._ssge import SSGEScoreEstimator
from ._targets import (
    TargetScaler,
    as_numpy,
    check_splittable,
    check_targets,
    class_indices,
    class_weights,
    find_classes,
    numeric_targets,
    warn_of_many_classes,
)

__all__ = ["MIGEEncoder"]

MODES: dict[str, type[Description]] = {"infomax": InfoMax, "ib": InformationBottleneck}
DEFAULT_SIZES = (512, 512)
# Information up to this multiple of max_information raises no warning.
TOLERANCE = 1.1


def as_description(mode: Any) -> Description:
    """Return the description for a value of ``mode``: a name, a description or a function."""
    if isinstance(mode, Description):
        return mode
    if not isinstance(mode, str):
        return FunctionDescription(mode)
    if mode not in MODES:
        raise ValueError(
            f"mode={mode!r} is unknown; use one of {sorted(MODES)}, or an object such as "
            "InformationBottleneck(beta=0.1)"
        )
    return MODES[mode]()


def kind_of(description: Description) -> str:
    """Return the short name or the class name of an objective, for error messages."""
    if isinstance(description, FunctionDescription):
        return "loss function"
    names = {kind: name for name, kind in MODES.items()}
    return names.get(type(description), type(description).__name__)


def as_score_estimator(estimator: Any) -> Any:
    """Return the score estimator, where None means the default estimator."""
    return SSGEScoreEstimator() if estimator is None else estimator


def _task(encoder: Any) -> str | None:
    """Return the task of the targets, or None; an invalid ``mode`` has no task."""
    if isinstance(encoder.mode, str):
        return as_description(encoder.mode).task if encoder.mode in MODES else None
    return encoder.mode.task if isinstance(encoder.mode, Description) else None


def _predicts(encoder: Any) -> bool:
    return _task(encoder) is not None


def _classifies(encoder: Any) -> bool:
    return _task(encoder) == "classification"


class MIGEEncoder(
    DocLinkMixin,
    ShorthandMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Encoder trained by mutual information gradient estimation (MIGE).

    With ``mode="infomax"``, a network :math:`z = E_\phi(x)` is trained without targets to maximise
    the mutual information I(x; z) between its input x and its output z. Training follows the
    gradient

    .. math:: \nabla_\phi I(x; z) = -\mathbb{E}\big[(\nabla_z \log q(z)
              - \nabla_z \log q(x, z))^\top \nabla_\phi z\big].

    The scores :math:`\nabla_z \log q` are estimated from each batch [1]_.

    With ``mode="ib"``, the network is an information bottleneck. The bottleneck is trained to
    predict y from a representation z that keeps little other information about x. Training
    minimises
    :math:`-\log p(y | z) + \beta\, I(z; x)`.

    Parameters
    ----------
    n_components : int, default=64
        Dimension of the representation z.
    mode : {"infomax", "ib"}, InfoMax, InformationBottleneck or callable, default="infomax"
        Objective of the training. The name "infomax" is short for ``InfoMax()``, and "ib" for
        ``InformationBottleneck()``. Parameters of the objective are nested parameters for names
        and objects alike: ``set_params(mode__beta=0.1)`` and searches over ``mode__beta`` work.
        "ib" is a classifier, and ``InformationBottleneck(task="regression")`` is a regressor.

        A callable or ``torch.nn.Module`` is a custom loss, called as ``loss(code, x, y)`` for each
        batch. The argument ``code`` is a :class:`sk_mige.networks.Code`, ``x`` are the rows, and
        ``y`` are the targets (zeros if ``fit`` has no y). The loss returns a scalar tensor. With a
        custom loss, z is the output of the encoder.
    score_estimator : SSGEScoreEstimator or RandomProjectionSSGE, default=None
        Score estimator whose settings apply to each batch. The estimator itself is not fitted.
        Only ``n_eigen``, ``eigen_threshold``, ``alpha``, ``bandwidth`` and the projection
        parameters are used. A projection applies to x, never to z. If ``random_state`` of the score
        estimator is None, ``random_state`` of the encoder is used.

        None means SSGE with the median bandwidth and a ridge, ``alpha=1e-4``. The published
        spectral cut-off is ``SSGEScoreEstimator(eigen_threshold=0.999)``. A bottleneck that
        estimates scores uses this cut-off by default.

        A score estimator raises an error if the information is estimated by other means than MIGE.
        The default bottleneck estimates no scores, so that a score estimator has no effect there
        and causes a warning.
    encoder : {"mlp", "conv"}, torch.nn.Module or callable, default="mlp"
        Network from rows to the inputs of the head. A module is copied to float32, and training
        starts from the weights of the module. A callable, such as
        ``partial(MLPEncoder, dropout=0.1)``, returns a module. The arguments of the callable are
        ``(n_features, n_outputs)``, or ``(input_shape, n_outputs)`` if inputs have a shape.

        The number of outputs depends on the head. A deterministic head needs ``n_components``
        outputs. A Gaussian head needs ``2 * n_components``, means before scales. An implicit head
        needs ``n_components + 64``, means before thresholds.
    hidden_layer_sizes : sequence of int or int, default=(512, 512)
        Widths of the hidden layers of ``encoder="mlp"``. A number is the width of a single hidden
        layer.
    input_shape : tuple of int, default=None
        Shape of an input inside the network, such as (channels, height, width). None takes the
        shape of the inputs of X. For ``encoder="conv"``, inputs of shape (height, width) get one
        channel. If X has flat rows, ``encoder="conv"`` requires the shape. A shape that contradicts
        the inputs of X raises an error.
    max_epochs : int, default=30
        Number of passes over the data.
    batch_size : int, default=256
        Largest number of rows in a batch. Each gradient is estimated from one batch. The sizes of
        all batches differ by one row at most.
    lr : float, default=1e-3
        Initial learning rate.
    lr_schedule : {"cosine", "constant"}, callback or scheduler class, default="cosine"
        Schedule of the learning rate within a call to ``fit``. The rate of "cosine" falls to 0 as
        half a cosine. A skorch callback such as :class:`sk_mige.training.ExponentialDecay` is a
        schedule. A class of ``torch.optim.lr_scheduler`` is a schedule as well, and
        ``functools.partial`` adds arguments. An ``LRScheduler`` of skorch in ``callbacks`` replaces
        "cosine". The learning rate of ``partial_fit`` is constant.
    optimizer : {"adam", "adamw", "sgd"} or callable, default="adam"
        Optimizer. A class or factory is called with the parameters of the network and ``lr``.
    callbacks : list, default=None
        Callbacks of skorch: classes, instances or pairs ``(name, callback)``. ``fit`` copies them.
        Examples are ``EarlyStopping``, :class:`sk_mige.training.Checkpoint`,
        :class:`sk_mige.training.BetaWarmup` and :class:`sk_mige.training.WeightAveraging`. The
        method ``set_callbacks`` sets scikit-learn's callbacks.
    validation_fraction : float, default=None
        Fraction of the rows that ``fit`` holds out. The loss of held-out rows is ``valid_loss`` in
        ``history_``, for ``EarlyStopping`` and similar callbacks. The loss of a bottleneck is the
        negative log-likelihood of y. The loss of InfoMax with a critic's bound of I(x; z) is the
        negative held-out bound. The losses of MIGE, of ``layer`` and of several views have no value
        on held-out rows. For these losses, ``valid_loss`` is minus ``score`` of the held-out rows,
        in nats.
    mixed_precision : bool, default=False
        Whether encoder and critic multiply matrices in bfloat16 during training. Convolutions are
        then about twice as fast on hardware that supports bfloat16, and slower on other hardware.
        Weights, scores, likelihoods and all results after ``fit`` are in float32.
    distributed : bool, default=False
        Whether the processes that torchrun started train one encoder together. Each process
        contributes ``batch_size`` rows to a joint batch. Every process calls ``fit`` with the same
        X. In a single process, the parameter has no effect.
    device : str or torch.device, default="auto"
        Device of the network; "auto" is CUDA if available, else the CPU.
    output : str, default=None
        Output of ``transform``. None means z, or the mean of z if the head is random. "sample" is
        one draw of z. Other names select a submodule of the encoder, whose flattened output is
        returned. The submodules of "mlp" are "hidden1", "hidden2", … and "Y". The submodules of
        "conv" are "conv", "fc" and "Y". ``output`` can be set after ``fit``.
    warm_start : bool, default=False
        Whether ``fit`` continues from the weights of the previous call. Changes of some parameters
        between the calls are used, such as ``lr``, ``batch_size``, ``callbacks``,
        ``score_estimator`` and ``mode__beta``. Changes of the network, of ``optimizer`` or of
        ``device`` raise an error.
    verbose : int, default=0
        Verbosity: 1 shows a progress bar, 2 prints a line for each epoch.
    random_state : int, RandomState or None, default=None
        Seed of weights, batches and noise. ``fit`` does not change the global generators of torch
        and NumPy.

    Attributes
    ----------
    module_ : torch.nn.Module
        Trained network, with the parts ``encoder``, ``head`` and ``decoder``.
    net_ : skorch.NeuralNet
        Net that trained ``module_``.
    history_ : list of dict
        One record for each epoch: ``epoch``, ``train_loss``, ``valid_loss`` if rows are held out,
        ``dur`` in seconds and entries of callbacks. The loss of InfoMax with MIGE is a surrogate.
        The gradient of the surrogate is the gradient of −I(x; z), but its value has no meaning.
    n_iter_ : int
        Number of finished epochs.
    classes_ : ndarray of shape (n_classes,)
        Labels, in sorted order; for classification only.
    task_ : str
        Task of the bottleneck, "classification" or "regression".
    beta_ : float
        Weight β of the bottleneck's information at the end of training; for a bottleneck only. For
        a pair ``mode.beta``, the geometric middle, which all methods except ``at_beta`` use.
    information_ : float
        Upper bound of I(z; x) at the end of training, in nats; with ``max_information`` only.
    n_features_in_ : int
        Number of features seen during ``fit``: the number of values of an input.
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
    float64. Arrays of integers give float32. Arrays of float16, and integers in lists and data
    frames, give float64. Data sets of float64 inputs give float64, and other data sets float32.
    Predicted values of a regression are float32 if the targets of ``fit`` were float32, and float64
    otherwise.

    On a CPU, a small network is trained and evaluated in one thread. A network is small if all its
    layers are linear layers and batch norms, and a training step has at most 2·10⁹ floating-point
    operations. A step of W weights has 6 · W · ``batch_size`` operations, so the default encoder is
    small for up to 1,900 features. Equal seeds give equal results of small networks for every
    number of threads or cores, and for every ``n_jobs`` of a search. Larger networks and
    convolutions use all threads of torch. The results of larger networks depend on the number of
    threads, because training amplifies rounding errors.

    Interrupting ``fit`` with Ctrl-C leaves a usable encoder.

    Pickles hold the weights as NumPy arrays and load on machines without a GPU. After loading,
    ``partial_fit`` continues with a new optimizer. skops stores all encoders except those with a
    module as ``encoder``. A function or ``functools.partial`` that makes the module can be stored.

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
        "mode": [StrOptions(set(MODES)), Description, callable],
        "score_estimator": [SSGEScoreEstimator, None],
        "encoder": [StrOptions({"mlp", "conv"}), nn.Module, callable],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "input_shape": ["array-like", None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"cosine", "constant"}), Callback, callable],
        "optimizer": [StrOptions({"adam", "adamw", "sgd"}), callable],
        "callbacks": [list, tuple, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "mixed_precision": ["boolean"],
        "distributed": ["boolean"],
        "device": [str, torch.device],
        "output": [str, None],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }
    _shorthands = {"mode": as_description, "score_estimator": as_score_estimator}

    # An output array is no metadata that a pipeline routes.
    __metadata_request__transform: ClassVar[dict[str, str]] = {"out": UNUSED}
    __metadata_request__score: ClassVar[dict[str, str]] = {"shuffled": UNUSED}

    module_: EncoderNetwork
    net_: EncoderNet
    history_: list[dict[str, Any]]
    n_iter_: int
    n_features_in_: int
    classes_: NDArray[Any]
    task_: str
    beta_: float
    information_: float
    _architecture: Architecture
    _marginal: CodeMarginal | None = None

    def __init__(
        self,
        n_components: int = 64,
        *,
        mode: str | Description | Callable[..., Tensor] = "infomax",
        score_estimator: Any = None,
        encoder: str | nn.Module | Callable[..., nn.Module] = "mlp",
        hidden_layer_sizes: Any = DEFAULT_SIZES,
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
            Inputs; dense and finite. Arrays of more than two dimensions are images or other shaped
            inputs, such as (n_samples, channels, height, width).

            A data set has ``__len__`` and ``__getitem__``: a ``torch.utils.data.Dataset``,
            skorch's ``SliceDataset``, or a Hugging Face data set after ``with_format("torch")``.
            An item is an input, a pair (input, target), or a mapping. In a mapping, "label",
            "labels" or "target" is the target, and the only other entry with dimensions is the
            input. Inputs are tensors or arrays of equal shape and dtype. Items are read batch by
            batch, and no batch is kept.

            Worker processes read the items of ``DataLoader(dataset, batch_size=None,
            num_workers=4)``. Other loaders raise an error, because ``batch_size`` and
            ``random_state`` of the encoder decide on the batches.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of a bottleneck, or numeric targets of a custom loss. InfoMax ignores them.
            With None, the targets of a data set are used, which requires one pass over its items.
            The pass is omitted if an attribute ``targets`` or ``labels`` of the data set agrees
            with the first and the last item.

        Returns
        -------
        MIGEEncoder
            This estimator.

        Raises
        ------
        ValueError
            If inputs are constant, too few or non-finite. If targets do not suit the task. If
            parameters contradict each other. If the network does not suit the data. If an item of a
            data set cannot be read, or differs from the first item in shape or dtype. After such an
            error, the network has the weights of the last training step.
        TypeError
            If X is sparse, a data set without a length, or a loader that makes batches. If items
            of a data set are neither tensors nor arrays.
        RuntimeError
            If ``device`` names a device that this machine lacks.

        Warns
        -----
        ConvergenceWarning
            If the loss became infinite or NaN. Training then stops at the last good weights. If
            the representation is the same for all rows. If the information exceeds
            ``max_information``.
        UserWarning
            If columns vary by less than the resolution of float32. For a data set, the check reads
            the first 256 items.
        """
        context = self._init_callback_context(max_subtasks=int(self.max_epochs))
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        X, targets = self._prepare(X, y, reset=not (self.warm_start and self._is_started()))
        callbacks: list[Callback] = [EpochTasks(self, context)]
        if self.lr_schedule != "cosine" or not has_lr_scheduler(self.callbacks):
            callbacks += make_schedule(self.lr_schedule, int(self.max_epochs))
        self._train(X, targets, int(self.max_epochs), callbacks, self.validation_fraction)
        if targets is not None and self._architecture.n_targets:
            self._keep_marginal(X, targets)
        if getattr(self._description, "output_scale", None) == "input":
            self._align(X)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """Continue the training for one pass over X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``. Every call needs at least two inputs that differ. Append a short
            remainder of a stream to the preceding part.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of a bottleneck. For regression, mean and variance of the targets of the first
            call standardise the targets of all calls. The first targets should be typical.
        classes : array-like of shape (n_classes,), default=None
            All labels that can occur. For classification, ``classes`` is required in the first
            call.

        Returns
        -------
        MIGEEncoder
            This estimator.
        """
        X, targets = self._prepare(X, y, reset=not self._is_started(), classes=classes, stream=True)
        self._train(X, targets, 1)
        return self

    def _is_started(self) -> bool:
        """Return whether a network exists."""
        return hasattr(self, "net_")

    @property
    def _description(self) -> Description:
        return as_description(self.mode)

    def _prepare(
        self, X: Any, y: Any, *, reset: bool, classes: Any = None, stream: bool = False
    ) -> tuple[Any, NDArray[Any] | None]:
        """Validate rows, encode targets, and make or update the network."""
        description = self._check_parameters()
        if not reset:
            self._expect_same_network()
        known = self.input_shape if reset else self._architecture.input_shape
        X, shape = check_inputs(self, X, reset=reset, shape=known)
        if self.n_components <= X.shape[0]:
            description.warn(self._batch_rows(X.shape[0]), int(self.n_components))
        check_varies(X, "they carry no information")
        check_float32_resolution(X)
        if reset:
            for name in ("task_", "classes_", "net_", "module_", "beta_", "information_"):
                self.__dict__.pop(name, None)
            self._class_weights: Tensor | None = None
            self._fit_namespace = namespace_of(X)
            self._input_shape = None if shape is None else tuple(shape)
            if self.n_components > X.shape[0]:
                warn_user(
                    f"n_components={self.n_components} exceeds the {X.shape[0]} rows of X, which "
                    "are too few to estimate scores of z: use fewer components or more rows"
                )
        targets, n_targets = self._encode_targets(X, y, reset, classes, stream)
        if reset:
            self._start(n_targets)
        else:
            self._update()
        return X, targets

    def _check_parameters(self) -> Description:
        """Return the objective's description; raise for parameters that contradict each other."""
        description = self._description
        description.check()
        if self.score_estimator is not None:
            unused = description.unused_score()
            if unused is not None and not description.uses_score():
                raise ValueError(f"score_estimator is set, but {unused}: set score_estimator=None")
            if unused is not None:
                warn_user(f"score_estimator has no effect: {unused}")
            elif hasattr(self.score_estimator, "_training_projection"):
                other = description.input_replaced_by()
                if other is not None:
                    warn_user(
                        f"the projection of score_estimator has no effect: with {other}, the "
                        "score does not depend on x itself; use SSGEScoreEstimator instead"
                    )
        sizes = as_sizes(self.hidden_layer_sizes)
        if sizes != DEFAULT_SIZES and not (isinstance(self.encoder, str) and self.encoder == "mlp"):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} is for encoder='mlp', got encoder="
                f"{self.encoder!r}: keep the default; functools.partial sets the sizes of a "
                "callable encoder"
            )
        return description

    def _encode_targets(
        self, X: Any, y: Any, reset: bool, classes: Any, stream: bool
    ) -> tuple[NDArray[Any] | None, int]:
        """Return class indices or scaled values, and the number of outputs of the decoder."""
        description = self._description
        if y is None and (description.task is not None or description.takes_targets()):
            y = own_targets(X)
        if description.task is None:
            read = description.takes_targets() and y is not None
            return (numeric_targets(y, X.shape[0]) if read else None), 0
        if y is None:
            raise ValueError(
                f"{type(self).__name__} with mode={self.mode!r} requires y to be passed, but the "
                "target y is None: pass labels or values, or use mode='infomax'"
            )
        dtype = np.asarray(as_numpy(y)).dtype
        self.task_ = description.task
        y = check_targets(self, X, y, self.task_)
        if self.task_ == "classification":
            known = None if reset else self.classes_
            self.classes_ = find_classes(y, classes, known, stream=stream)
            if known is None and classes is None:
                warn_of_many_classes(y)
            weight = getattr(description, "class_weight", None)
            self._class_weights = class_weights(weight, self.classes_, y, stream=stream)
            return class_indices(y, self.classes_), len(self.classes_)
        if reset:
            self._target_scaler = TargetScaler(y, dtype)
        values = self._target_scaler.transform(y)
        return values, values.shape[1]

    def _start(self, n_targets: int) -> None:
        """Make a new network and its trainer, for rows of ``n_features_in_`` features."""
        self._device = resolve_device(self.device)
        rng = check_random_state(self.random_state)
        self._seed = int(rng.randint(np.iinfo(np.int32).max))
        if self.distributed:
            self._device, self._seed = join_processes(self._device, self._seed)
        self._architecture = Architecture(
            n_features=self.n_features_in_,
            n_components=int(self.n_components),
            encoder=self.encoder,
            hidden_layer_sizes=as_sizes(self.hidden_layer_sizes),
            input_shape=self._input_shape,
            n_targets=n_targets,
            mixed_precision=self.mixed_precision,
            **self._description.architecture(),
        )
        self._fixed = self._fixed_parameters()
        self.history_ = []
        self.n_iter_ = 0
        with seeded(self._seed, self._device), building(self._device):
            module = self._architecture.build()
            if self.output not in (None, "sample"):
                module.check_layer("output", str(self.output))
            if self._class_weights is not None:
                module.shift_log_odds(self._class_weights)
            self._make_trainer(module)

    def _make_trainer(self, module: EncoderNetwork) -> None:
        self.module_ = module.to(self._device)
        self._trainer = Trainer(
            self.module_,
            self._objective(),
            optimizer=self.optimizer,
            lr=self.lr,
            batch_size=self.batch_size,
            device=self._device,
            # Loading a pickle starts a new generator, which must not repeat the first batches.
            seed=self._seed + self.n_iter_,
            callbacks=self.callbacks,
            verbose=self.verbose,
            epochs_before=self.n_iter_,
            distributed=self.distributed,
            name=type(self).__name__,
        )
        self.net_ = self._trainer.net

    def _update(self) -> None:
        """Apply parameters that were set since the last call."""
        self._trainer.update(
            self._objective(),
            lr=self.lr,
            batch_size=self.batch_size,
            callbacks=self.callbacks,
            verbose=self.verbose,
        )

    def _objective(self) -> Objective:
        score, projection = self._score()
        return self._description.build(
            Problem(
                n_features=self._architecture.n_features,
                n_components=self._architecture.n_components,
                n_targets=self._architecture.n_targets,
                device=self._device,
                score=score,
                projection=projection,
                feature_shape=self.module_.feature_shape,
                mixed_precision=self._architecture.mixed_precision,
                class_weights=getattr(self, "_class_weights", None),
            )
        )

    def _score(self) -> tuple[Any, Tensor | None]:
        """Return the score function of a batch, and the fixed projection of x or None."""
        kind = "infomax" if self._description.task is None else "ib"
        estimator = self.score_estimator
        if estimator is None:
            return default_training_score(kind), None
        score = estimator._training_score(kind)
        if not hasattr(estimator, "_training_projection"):
            return score, None
        # A copy of the generator: a continued training draws the same projection again.
        own = copy.deepcopy(estimator.random_state)
        seed = self._seed if own is None else own
        projection = estimator._training_projection(
            self._architecture.n_features, seed, self._largest_batch()
        )
        if projection is None:
            return score, None
        return score, torch.as_tensor(projection, dtype=torch.float32)

    def _train(
        self,
        X: Any,
        y: NDArray[Any] | None,
        epochs: int,
        callbacks: list[Callback] | None = None,
        validation_fraction: float | None = None,
    ) -> None:
        """Run epochs; the estimator stays usable after errors and interruptions."""
        net = self.net_
        seed = int(torch.randint(2**31 - 1, (1,), generator=net.generator, device="cpu"))
        data: Any = ArrayDataset(resident(to_rows(X), self._device), y)
        held_out = None
        if validation_fraction is not None:
            data, held_out = self._split(data, validation_fraction)
        known = len(net.history)
        self._marginal = None
        try:
            with seeded(seed + net.rank, self._device):
                self._trainer.run(
                    data,
                    epochs=epochs,
                    callbacks=callbacks or [],
                    held_out=held_out,
                    settings=settings_in_words(self.explicit_params()),
                )
        finally:
            self.history_ = self.history_ + self._trainer.records(known)
            self.n_iter_ = len(self.history_)
            if isinstance(net.criterion_, BottleneckLoss):
                self._keep_information(net.criterion_)

    def _keep_information(self, loss: BottleneckLoss) -> None:
        """Set ``beta_`` and ``information_``, and warn if the information exceeds its limit."""
        self.beta_ = loss.current_beta
        if loss.reached is None or loss.max_information is None:
            return
        self.information_ = float(loss.reached)
        if self.information_ > TOLERANCE * loss.max_information:
            warn_user(
                f"I(z; x) is {self.information_:.3g} nats at the end of training, above "
                f"max_information={loss.max_information:g}: train for more epochs, or start from a "
                f"larger beta than {loss.beta:g}",
                ConvergenceWarning,
            )

    def _keep_marginal(self, X: Any, y: NDArray[Any]) -> None:
        """Estimate the marginal density of the codes, by classes if there are classes."""
        rows = np.random.RandomState(self._seed).permutation(X.shape[0])[:MARGINAL_ROWS]
        parts = [part.tolist() for part in np.array_split(rows, -(-len(rows) // 256))]
        moments = partial(code_moments, self.module_)
        codes = [self._evaluate(moments, x) for x in read_parts(to_rows(X), parts)]
        classes = y[rows] if self.task_ == "classification" else np.zeros(len(rows))
        self._marginal = CodeMarginal(np.concatenate(codes), classes)

    def _split(self, data: ArrayDataset, fraction: float) -> tuple[Any, Any]:
        """Return rows to train on and held-out rows, stratified by class."""
        classes = data.y if getattr(self, "task_", None) == "classification" else None
        if classes is not None:
            check_splittable(self.classes_, classes, fraction)
        parts = train_test_split(
            np.arange(len(data)), test_size=fraction, random_state=self._seed, stratify=classes
        )
        train, held_out = (Subset(data, rows.tolist()) for rows in parts)
        return train, held_out

    def _align(self, X: Any) -> None:
        """Map z to the units of the input, and warn if z is constant."""
        with self._trainer.threads():
            varies = align_to_input(self.module_, to_rows(X), self.net_.generator)
        if not varies:
            warn_user(
                "the representation has collapsed to one value for all rows. A likely cause are "
                "features with a standard deviation far below their mean: put a StandardScaler "
                "before the encoder, or use a smaller lr",
                ConvergenceWarning,
            )

    def _batch_rows(self, n_rows: int) -> int:
        """Return the number of rows of a joint batch of all processes."""
        return -(-n_rows // -(-n_rows // self._largest_batch()))

    def _largest_batch(self) -> int:
        """Return the largest number of rows of a joint batch of all processes."""
        processes = int(os.environ.get("WORLD_SIZE", "1")) if self.distributed else 1
        return int(self.batch_size) * processes

    def _fixed_parameters(self) -> dict[str, Any]:
        """Return the parameters that are fixed for a network."""
        names = ("n_components", "encoder", "mixed_precision", "optimizer", "device", "distributed")
        shape = None if self.input_shape is None else tuple(self.input_shape)
        settings = self._description.network_settings()
        return {
            "mode": kind_of(self._description),
            **{name: getattr(self, name) for name in names},
            "hidden_layer_sizes": as_sizes(self.hidden_layer_sizes),
            "input_shape": shape,
            **{f"mode__{name}": value for name, value in settings.items()},
        }

    def _expect_same_network(self) -> None:
        """Raise for changed parameters that are fixed for a network."""
        before, now = dict(self._fixed), self._fixed_parameters()
        if resolve_device(now["device"]) == self._device:
            before["device"] = now["device"]  # two names of one device
        expect_unchanged(
            before,
            now,
            "partial_fit and warm_start=True continue the training of the same network, which "
            "this would change; set it back, or call fit with warm_start=False to start anew",
        )

    # ---------------------------------------------------------------- results

    def at_beta(self, beta: float) -> Self:
        """Return the encoder for a single weight β, after training with a range of weights.

        ``at_beta`` does not train. The returned encoder has a copy of the network, and the single
        number ``beta`` in ``mode``. ``partial_fit`` of the returned encoder trains at this β. A
        clone of the returned encoder is unfitted and has the single β.

        Parameters
        ----------
        beta : float
            Weight within the range ``InformationBottleneck(beta=(low, high))`` of ``fit``.

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
        check_is_fitted(self)
        betas = self._architecture.betas
        if betas is None or self._architecture.beta is not None:
            raise ValueError(
                f"at_beta needs an encoder that was trained for a range of weights, got mode="
                f"{self.mode!r}: fit with mode=InformationBottleneck(beta=(low, high))"
            )
        if not (isinstance(beta, int | float | np.number) and betas[0] <= beta <= betas[1]):
            raise ValueError(
                f"beta={beta!r} is outside of the trained range {betas}: use a weight within the "
                "range, or fit with a wider pair"
            )
        state = copy.deepcopy(self.__getstate__())
        state["mode"].set_params(beta=float(beta))
        state["_architecture"] = replace(state["_architecture"], beta=float(beta))
        state["beta_"] = float(beta)
        state["_marginal"] = None  # the codes of another weight
        fixed = type(self)()
        fixed.__setstate__(state)
        fixed._fixed = fixed._fixed_parameters()
        return fixed

    def transform(self, X: Any, out: NDArray[Any] | None = None) -> Any:
        """Return the representations of inputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.
        out : ndarray of shape (n_samples, n_components), default=None
            Writable array of floats, such as a memory map, that is filled batch by batch and
            returned. With None, a new array is created.

        Returns
        -------
        array of shape (n_samples, n_components)
            Representations z, or means of z if the head is random. With ``output``, one draw of z
            or the output of a submodule.
        """
        check_is_fitted(self)
        if is_dask(X):
            if out is not None:
                raise ValueError(
                    "out is for data in memory: store a Dask array by da.store(z, out)"
                )
            dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float32)
            return by_blocks(self.transform, X, self._n_features_out, dtype)
        X = self._queries(X, "transform")
        if out is not None:
            check_out(out, (X.shape[0], self._n_features_out))
            return self._evaluate(self._output_function(), to_rows(X), out)
        return like_input(self._evaluate(self._output_function(), to_rows(X)), X)

    def _queries(self, X: Any, method: str) -> Any:
        """Return valid inputs as rows."""
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
            the targets of ``fit`` were float32, else float64. The dtype of X has no effect.
        """
        self._expect_decoder()
        X = self._queries(X, "predict")
        if self.task_ == "classification":
            return like_input(self._labels(X), X, keep_dtype=True)
        return self._target_scaler.like_targets(self._expected(X), reference(X))

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, in the order of ``classes_``.

        Probabilities are averages over ``n_prediction_samples`` draws of z. Every row and every
        call have the same noise. With 0 samples, probabilities are computed from the mean of z.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Probabilities, whose sum is 1 in each row.
        """
        self._expect_decoder()
        X = self._queries(X, "predict_proba")
        return like_input(self._mean_prediction(X), X)

    @available_if(_predicts)
    def score_samples(self, X: Any) -> Any:
        r"""Return how typical each row is of the training data; small values indicate novelty.

        With a Gaussian head, the value is minus an upper bound of the rate of a row, in nats:

        .. math:: \log\sum_c w_c \exp\big(-\mathrm{KL}(q(z | x)\,\|\,m_c)\big)
                  \le -\mathrm{KL}(q(z | x)\,\|\,m), \qquad m = \sum_c w_c\, m_c .

        The density m(z) is a mixture of Gaussians with independent components, one Gaussian for
        each class. For a regression, m is a single Gaussian. ``fit`` estimates m from the codes of
        at most 10,000 training rows. With a deterministic head, the value is log m(z). With an
        implicit head, the value is log m at the mean of z.

        The name and the sign are those of scikit-learn's densities and outlier detectors. Values of
        heads without a Gaussian depend on the units of z and are not comparable between encoders.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs, as in ``fit``.

        Returns
        -------
        array of shape (n_samples,)
            Values in nats. Minus the mean over rows of the training distribution is an upper bound
            of I(x; z) if the head is Gaussian.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the last call was ``partial_fit``, or if ``at_beta`` returned the encoder. The codes
            of the training rows then belong to other weights.
        """
        self._expect_decoder()
        if (marginal := self._marginal) is None:
            raise NotFittedError(
                "score_samples needs the codes of all training rows, which partial_fit and "
                "at_beta do not have: call fit(X, y), with warm_start=True to keep the weights"
            )
        X = self._queries(X, "score_samples")

        def log_density(x: Tensor) -> Tensor:
            return marginal.log_density(code_moments(self.module_, x))

        return like_input(self._evaluate(log_density, to_rows(X)), X)

    def score(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, shuffled: bool = False
    ) -> float:
        """Return the quality of a representation in nats, or that of predictions.

        Without a predictor, this is the Gaussian information that the representations of two
        incomplete copies of a row share
        (:func:`sk_mige.information.copies.shared_information`). In each copy, a random half of
        the values are the means of their columns. For at most 500 rows, the score is the average
        over several pairs of copies, about 1000 in all. Higher is better. Values of different
        encoders are comparable on the same X. Searches without y maximise this score.

        For a bottleneck, the score is the accuracy for classification and R² for regression.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or data set
            Inputs as in ``fit``, usually held out.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            True targets, ignored without a predictor. With None, the targets of the items of a data
            set X are used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row. Only predictions can be weighted.
        shuffled : bool, default=False
            Whether to compare each copy with the copy of another row, and each prediction with the
            target of another row. The result is the score of an encoder that carries no
            information, on the same rows.

        Returns
        -------
        float
            Information in nats, at least 0; accuracy; or R².
        """
        if not _predicts(self):
            return self._shared_information(X, sample_weight, shuffled)
        self._expect_decoder()
        rows = self._queries(X, "score")
        y = own_targets(rows) if y is None else as_numpy(y)
        if y is None:
            raise ValueError(
                f"score with mode={self.mode!r} needs y, the true targets; got None: pass y, or a "
                "data set of pairs"
            )
        weight = as_numpy(sample_weight)
        if shuffled:
            y = np.asarray(y)[other_rows(len(y)).numpy()]
        if self.task_ == "classification":
            return float(accuracy_score(y, self._labels(rows), sample_weight=weight))
        # The result of predict is rounded to the dtype of the targets.
        return float(r2_score(y, self._expected(rows), sample_weight=weight))

    def _shared_information(self, X: Any, sample_weight: Any, shuffled: bool) -> float:
        """Return the information that the codes of two copies of held-out rows share."""
        check_is_fitted(self)
        if sample_weight is not None:
            raise ValueError(
                "sample_weight must be None without a predictor: weighted rows have no pairs"
            )
        data = ArrayDataset(to_rows(self._queries(X, "score")))
        with self._trainer.threads():
            return self.net_.information_of_copies(data, shuffled=shuffled)

    if not TYPE_CHECKING:  # type checkers accept any name of a class with __getattr__

        def __getattr__(self, name: str) -> Any:
            """Raise for methods that ``mode`` does not have, and name a remedy."""
            reason = ""
            if name == "score_samples":
                reason = (
                    f" with mode={self.mode!r}, which has no density of z: use mode='ib', or put a "
                    "density after the encoder, as in make_pipeline(encoder, GaussianMixture())"
                )
            if name in ("predict", "predict_proba"):
                reason = (
                    f" with mode={self.mode!r}, which learns a representation, not predictions: "
                    "use mode='ib', or put a predictor after the encoder, as in "
                    "make_pipeline(encoder, LogisticRegression())"
                )
                if _task(self) == "regression":
                    reason = " for a regression, which has no class probabilities: use predict"
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{reason}")

    def _expect_decoder(self) -> None:
        check_is_fitted(self)
        if self._architecture.n_targets == 0:
            raise NotFittedError(
                f"{type(self).__name__} was fitted without targets before mode={self.mode!r} was "
                "set: call fit(X, y) again"
            )

    def _mean_prediction(self, X: Any) -> NDArray[Any]:
        """Return class probabilities or scaled values, averaged over draws of z, in float64."""
        noise = self._prediction_noise()

        def averaged(x: Tensor) -> Tensor:
            raw = self.module_.predictions(x, noise).double()
            return (raw.softmax(-1) if self.task_ == "classification" else raw).mean(0)

        return self._evaluate(averaged, to_rows(X))

    def _prediction_noise(self) -> Tensor | None:
        """Return draws of ε (S, K), which are equal for all rows and batches."""
        n_samples = int(getattr(self._description, "n_prediction_samples", 0))
        if n_samples == 0:
            return None
        size = (n_samples, self._architecture.n_components)
        draws = np.random.RandomState(self._seed).standard_normal(size).astype(np.float32)
        return torch.as_tensor(draws, device=self._device)

    def _labels(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row."""
        labels: NDArray[Any] = self.classes_[self._mean_prediction(X).argmax(axis=1)]
        return labels

    def _expected(self, X: Any) -> NDArray[Any]:
        """Return expected values in the units of the targets, in float64."""
        return self._target_scaler.inverse(self._mean_prediction(X))

    def _evaluate(
        self, function: Callable[[Tensor], Tensor], rows: Any, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the values of a function of rows, in as many threads as training uses."""
        with self._trainer.threads():
            return evaluate(self.module_, function, rows, read=read_parts, out=out)

    def _output_function(self) -> Callable[[Tensor], Tensor]:
        """Return the function of rows that ``transform`` evaluates."""
        module, output = self.module_, self.output
        if output is None:
            return lambda x: torch.as_tensor(module(x).z)
        if output != "sample":
            module.check_layer("output", output)
            return lambda x: module.layer(x, output)
        # Calls with equal numbers of rows have the same draws.
        generator = torch.Generator().manual_seed(self._seed)
        width = self._architecture.n_components

        def sample(x: Tensor) -> Tensor:
            noise = torch.randn(1, len(x), width, generator=generator, dtype=x.dtype, device="cpu")
            return module.draws(x, noise.to(x.device))[0]

        return sample

    @property
    def _n_features_out(self) -> int:
        if self.output is None or self.output == "sample":
            return int(self._architecture.n_components)
        rows = np.zeros((1, self._architecture.n_features), dtype=np.float32)
        return int(self._evaluate(self._output_function(), rows).shape[1])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        task = _task(self)
        tags.target_tags.required = task is not None
        if task == "classification":
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags()
        elif task == "regression":
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
            tags.target_tags.multi_output = True
        return tags

    # ---------------------------------------------------------------- storage

    def __getstate__(self) -> dict[str, Any]:
        """Return a state without data and without tensors: weights are NumPy arrays.

        A model fitted on a GPU then loads on a machine without a GPU, and skops can store it.
        """
        state: dict[str, Any] = dict(super().__getstate__())
        if "net_" not in state:
            return state
        net, module = state.pop("net_"), state.pop("module_")
        for name in ("_device", "_trainer"):
            state.pop(name)
        state["_stored_weights"] = to_numpy(module)
        state["_stored_objective"] = to_numpy(net.criterion_)
        if state.get("_class_weights") is not None:
            state["_class_weights"] = state["_class_weights"].numpy()
        architecture = self._architecture.on_cpu()
        for holder in (state, fixed := dict(state["_fixed"])):
            if holder["encoder"] is self._architecture.encoder:
                holder["encoder"] = architecture.encoder
        state["_architecture"], state["_fixed"] = architecture, fixed
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the network on the encoder's device, or on "auto" if that device is missing."""
        state = dict(state)
        weights = state.pop("_stored_weights", None)
        objective = state.pop("_stored_objective", None)
        # Parameters that the file lacks have their defaults.
        state = {**type(self)().get_params(deep=False), **state}
        super().__setstate__(state)
        if weights is None:
            return
        if self._class_weights is not None:
            self._class_weights = torch.tensor(self._class_weights)
        self._device = available_device(self.device)
        if self.device not in ("auto", str(self._device)) and (
            torch.device(self.device).type != self._device.type
        ):
            warn_user(
                f"the encoder was fitted with device={self.device!r}, which this machine lacks, "
                f"and was loaded on {self._device}: call set_params(device='auto') before storing "
                "the encoder"
            )
        # The network and its optimizer are made anew, with the current parameters.
        self._fixed.update({name: getattr(self, name) for name in ("optimizer", "device")})
        with self._rebuilding(), building(self._device):
            module = self._architecture.build()
            from_numpy(module, weights)
            self._make_trainer(module)
            # Parameters that were set after fit may have changed the parts of the objective.
            from_numpy(self.net_.criterion_, objective, strict=False)

    def _rebuilding(self) -> AbstractContextManager[None]:
        """Return the context that builds the network again while other threads may train."""
        encoder = self._architecture.encoder
        if isinstance(encoder, str | nn.Module):
            return built_apart(self._seed)
        return seeded(self._seed, self._device)  # a user's function may draw from global generators
