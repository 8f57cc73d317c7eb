"""Base classes of objectives, and of descriptions that build objectives."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sk_mige._warnings import warn_user
from sk_mige.information import gaussian_mutual_info
from sk_mige.networks import Code
from sk_mige.score import ScoreFunction

Loss = Callable[[Any, Tensor, Tensor], Tensor]  # takes a code, or another network's output


class Objective(nn.Module):
    """Base class of objectives, which compute the loss of a batch.

    The training loop calls ``objective(code, x, y)`` in training and ``held_out(code, x, y)`` on
    held-out rows. After training, ``MIGEEncoder`` sets the attributes that ``fitted_attributes()``
    returns.

    Attributes
    ----------
    has_value : bool
        Whether the value of ``held_out`` is meaningful. Surrogates have a meaningful gradient, but
        no meaningful value. If ``has_value`` is False, the loss of held-out rows is minus
        :meth:`sk_mige.MIGEEncoder.score`, the information that two incomplete copies of a row have
        in common.
    classifies : bool
        Whether the code's predictions are logits of classes.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import Objective
    >>> class SmallCodes(Objective):
    ...     def forward(self, code, x, y):
    ...         return code.z.square().mean()
    >>> SmallCodes()(Code(torch.ones(5, 2)), torch.ones(5, 3), torch.zeros(5))
    tensor(1.)
    """

    has_value: bool = True
    classifies: bool = False

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of a batch of inputs x (M, d), codes and targets y, as a scalar."""

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of held-out rows, by default computed as in training."""
        return self(code, x, y)

    def continue_from(self, previous: Objective) -> None:
        """Reuse the learned parts of ``previous``, whose parameters are in the optimizer.

        Parameters
        ----------
        previous : Objective
            Objective that has been trained so far.

        Raises
        ------
        ValueError
            If the learned parts of ``previous`` have other names or shapes.
        """
        learned, theirs = _shapes(self), _shapes(previous)
        names = {key.partition(".")[0] for key in learned}
        if learned != {key: s for key, s in theirs.items() if key.partition(".")[0] in names}:
            raise ValueError(
                "mode: the learned parameters of the objective have changed, for example by "
                "another critic or prior matching; call fit with warm_start=False to restart "
                "training"
            )
        for name in names:
            setattr(self, name, getattr(previous, name))

    def fitted_attributes(self) -> dict[str, float]:
        """Return attributes that the encoder sets after training, by name."""
        return {}


class FunctionObjective(Objective):
    """Objective defined by a function or module ``loss(code, x, y)``.

    Parameters
    ----------
    loss : callable
        Loss of a batch. A module is copied, and the parameters of the copy are trained with the
        network. If ``loss`` is an :class:`Objective`, ``loss.held_out``, ``loss.has_value`` and
        ``loss.classifies`` are used.
    has_value : bool, default=True
        Whether the value of the loss on held-out rows is meaningful.
    classifies : bool, default=False
        Whether the code's predictions are logits of classes.

    Raises
    ------
    TypeError
        If ``loss`` does not take three arguments.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import FunctionObjective
    >>> objective = FunctionObjective(lambda code, x, y: code.z.square().mean())
    >>> objective(Code(torch.ones(5, 2)), torch.ones(5, 3), torch.zeros(5))
    tensor(1.)
    """

    def __init__(self, loss: Loss, *, has_value: bool = True, classifies: bool = False) -> None:
        super().__init__()
        _check_arguments(loss)
        self.loss = copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss
        if isinstance(loss, Objective):
            has_value, classifies = loss.has_value, loss.classifies
        self.has_value = has_value
        self.classifies = classifies

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the value of the function as a scalar tensor."""
        return self._checked(self.loss(code, x, y))

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the value of the function, or the held-out loss if ``loss`` is an objective."""
        held_out = self.loss.held_out if isinstance(self.loss, Objective) else self.loss
        return self._checked(held_out(code, x, y))

    def _checked(self, loss: Any) -> Tensor:
        if not isinstance(loss, Tensor) or loss.ndim > 0 or not loss.is_floating_point():
            is_tensor = isinstance(loss, Tensor)
            got = f"{tuple(loss.shape)} and {loss.dtype}" if is_tensor else type(loss).__name__
            raise ValueError(
                "mode: the loss of a batch must be a floating-point tensor of shape (), got "
                f"{got}; return the mean loss over the rows"
            )
        return loss

    def continue_from(self, previous: Objective) -> None:
        """Reuse the module of the previous objective, with all parameters and buffers."""
        super().continue_from(previous)
        theirs = getattr(previous, "loss", None)
        if isinstance(self.loss, nn.Module) and isinstance(theirs, nn.Module):
            self.loss = theirs


@dataclass(frozen=True)
class Problem:
    """Properties of the data and the network that a description needs to build an objective.

    Attributes
    ----------
    n_features, n_components, n_targets : int
        Number of values in a row, in a code and in a prediction.
    device : torch.device
        Device of the training.
    score : callable
        Function that estimates the scores of a batch, for the gradient of information.
    projection : tensor of shape (k, n_features) or None
        Random projection that is applied to x before distances are computed.
    feature_shape : tuple of int or None
        Shape of one row's output at the inner layer, or None if the objective uses no inner layer.
    mixed_precision : bool
        Whether critics multiply matrices in bfloat16.
    class_weights : tensor of shape (n_targets,) or None
        Weight of each class in the likelihood.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives import Problem
    >>> from sk_mige.score import ssge
    >>> Problem(n_features=5, n_components=2, device=torch.device("cpu"), score=ssge).n_targets
    0
    """

    n_features: int
    n_components: int
    device: torch.device
    score: ScoreFunction
    projection: Tensor | None = None
    feature_shape: tuple[int, ...] | None = None
    mixed_precision: bool = False
    n_targets: int = 0
    class_weights: Tensor | None = None


class ShorthandMixin(BaseEstimator):
    """Mixin for parameters that accept a shorthand, such as a string, for an object.

    A shorthand, such as ``mode="ib"``, is replaced by its object when a parameter of the object is
    set, as in ``set_params(mode__beta=0.1)``. A search over nested parameters therefore works with
    shorthands and with objects.

    Attributes
    ----------
    _shorthands : mapping of str to callable
        Functions by parameter name. Each function converts a shorthand to an object, and returns
        objects unchanged.
    """

    _shorthands: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including nested parameters as ``name__parameter``.

        Parameters
        ----------
        **params : dict
            Parameters. If nested parameters are set, a shorthand is replaced by its object.

        Returns
        -------
        self
            This object.
        """
        nested = {key.partition("__")[0] for key in params if "__" in key}
        for name in nested & set(self._shorthands):
            params[name] = self._shorthands[name](params.get(name, getattr(self, name)))
        try:
            super().set_params(**params)
        except ValueError as error:
            raise ValueError(f"{error}{self._remedy(params)}") from error
        return self

    def _remedy(self, params: dict[str, Any]) -> str:
        """Return advice to pass an object that has the missing nested parameter, or ""."""
        for key in params:
            name, _, part = key.partition("__")
            given = params.get(name) if part and name in self._shorthands else None
            if isinstance(given, BaseEstimator) and part not in given._get_param_names():
                for kind in type(given).__subclasses__():
                    if part in kind._get_param_names():
                        return f" Pass {name}={kind.__name__}() to set {part!r}."
        return ""

    def explicit_params(self) -> dict[str, Any]:
        """Return all parameters, including nested ones, with shorthands replaced by objects.

        Returns
        -------
        dict
            Parameters by name.
        """
        explicit = self.get_params()
        for name, made in self._shorthands.items():
            value = explicit[name] = made(explicit[name])
            known = isinstance(value, ShorthandMixin)
            nested = value.explicit_params() if known else value.get_params()
            explicit |= {f"{name}__{key}": part for key, part in nested.items()}
        return explicit


class Description(ShorthandMixin):
    """Base class of the objects that ``MIGEEncoder`` accepts as ``mode``.

    A description holds the parameters of an objective, and builds the objective in ``fit``. A
    description has no fitted state, and can be cloned, varied in a search and stored. Subclasses
    define ``network_settings``, ``architecture`` and ``build``.

    Attributes
    ----------
    task : {"classification", "regression"} or None
        Kind of the targets, or None for an objective without targets.
    class_weight : dict, "balanced" or None
        Weights of the classes in the likelihood.
    n_prediction_samples : int
        Number of draws of z over which predictions are averaged. With 0 draws, predictions use the
        mean of z.
    output_scale : {"input", "unit"} or None
        Scale of z. With "input", ``fit`` maps z to the units of x after training.

    Examples
    --------
    >>> from sk_mige.objectives import Description, FunctionObjective
    >>> class SmallCodes(Description):
    ...     def network_settings(self):
    ...         return {}
    ...     def architecture(self):
    ...         return {"head": "deterministic"}
    ...     def build(self, problem):
    ...         return FunctionObjective(lambda code, x, y: code.z.square().mean())
    >>> from sk_mige import MIGEEncoder
    >>> encoder = MIGEEncoder(2, mode=SmallCodes(), max_epochs=1)
    """

    task: str | None = None
    class_weight: Any = None
    n_prediction_samples: int = 0
    output_scale: str | None = None

    def check(self) -> None:
        """Raise ValueError for parameters that are invalid or contradict each other."""
        self._validate_params()

    def check_score_estimator(self, *, projects: bool) -> None:
        """Raise or warn if ``score_estimator`` or its projection of x has no effect."""
        unused = self.unused_score()
        if unused is not None and not self.uses_score():
            raise ValueError(f"score_estimator is set, but {unused}: set score_estimator=None")
        if unused is not None:
            warn_user(f"score_estimator has no effect: {unused}")
        elif projects and (other := self.input_replaced_by()) is not None:
            warn_user(
                f"the projection of score_estimator has no effect: with {other}, the score does "
                "not depend on x; use SSGEScoreEstimator instead"
            )

    @abstractmethod
    def network_settings(self) -> dict[str, Any]:
        """Return the settings that determine the network, by parameter name.

        The encoder raises an error if ``partial_fit`` or a warm start would change a setting of the
        network.
        """

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Return the fields of :class:`sk_mige.networks.Architecture` that the description sets."""

    @abstractmethod
    def build(self, problem: Problem) -> Objective:
        """Return a new objective, with newly initialised parameters if there are any."""

    def warn(self, batch_size: int, n_components: int) -> None:
        """Warn if settings are unsuitable for the batch size or the number of components."""

    def takes_targets(self) -> bool:
        """Return whether the loss is a custom function, which accepts targets of any kind."""
        return False

    def uses_score(self) -> bool:
        """Return whether the objective can use ``score_estimator``."""
        return False

    def unused_score(self) -> str | None:
        """Return the reason why ``score_estimator`` has no effect, or None if it has an effect."""
        return None

    def input_replaced_by(self) -> str | None:
        """Return the setting that removes x from the kernel, or None if the kernel uses x."""
        return None


class InformationTerm(nn.Module):
    """Base class of the estimates of I(x; z) that a bottleneck minimises.

    A call ``term(code, x, y)`` returns two values. The gradient of the first value, a scalar,
    estimates the gradient of I(x; z). The second value is the loss of the learned parts, or None if
    the term has no learned parts.

    Attributes
    ----------
    is_upper_bound : bool
        Whether the first value is an upper bound of I(x; z) in nats for Gaussian q(z | x).
    """

    is_upper_bound: bool = False

    @torch.no_grad()
    def upper_bound(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return an upper bound of I(x; z) in nats, by default the log-determinant bound.

        If ``is_upper_bound`` is True, the first value of the term is returned. With
        ``marginal="classes"``, the result is a bound of I(x; z | y).
        """
        if self.is_upper_bound:
            value: Tensor = self(code, code.z, y)[0]
            return value
        assert code.conditional is not None
        return gaussian_mutual_info(*code.conditional)


class InfoMaxSettings(Protocol):
    """Parameters of InfoMax that an estimator of information uses."""

    n_views: int
    layer: str | None
    local: bool


class BottleneckSettings(Protocol):
    """Parameters of InformationBottleneck that an estimator of information uses."""

    head: str
    task: str

    def uses_closed_form(self) -> bool:
        """Return whether MIGE computes H(z | x) in closed form."""
        ...


class Information(ShorthandMixin):
    """Base class of estimators of information for ``InfoMax`` and ``InformationBottleneck``.

    A subclass defines ``build_infomax`` to maximise information, ``build_term`` to minimise
    information, or both methods.

    Attributes
    ----------
    uses_score : bool
        Whether the estimator of information can use the ``score_estimator`` of ``MIGEEncoder``.

    Examples
    --------
    >>> from sk_mige import InfoMax
    >>> from sk_mige.objectives import FunctionObjective, Information
    >>> class Spread(Information):
    ...     def build_infomax(self, mode, problem):
    ...         return FunctionObjective(lambda code, x, y: -code.z.std(0).log().sum())
    >>> InfoMax(Spread())
    InfoMax(information=Spread())
    """

    uses_score: bool = False
    _parameter_constraints: dict[str, list[Any]] = {}

    def learns(self) -> bool:
        """Return whether the estimator has parameters that are trained with the network."""
        return False

    def check_infomax(self, mode: InfoMaxSettings) -> None:
        """Raise ValueError if the estimator does not support the InfoMax settings ``mode``."""
        if type(self).build_infomax is Information.build_infomax:
            raise ValueError(
                f"information={self!r} cannot be maximised by InfoMax: use it in "
                "InformationBottleneck, or pass another estimator of information"
            )
        self._validate_params()

    def check_bottleneck(self, mode: BottleneckSettings) -> None:
        """Raise ValueError if the estimator does not support the bottleneck settings ``mode``."""
        if type(self).build_term is Information.build_term:
            raise ValueError(
                f"information={self!r} cannot be minimised by InformationBottleneck: use it in "
                "InfoMax, or pass another estimator of information"
            )
        self._validate_params()

    def build_infomax(self, mode: InfoMaxSettings, problem: Problem) -> Objective:
        """Return the objective that maximises I(x; z)."""
        raise NotImplementedError

    def build_term(self, mode: BottleneckSettings, problem: Problem) -> InformationTerm:
        """Return the term that estimates I(x; z) in the loss of a bottleneck."""
        raise NotImplementedError


class FunctionDescription(Description):
    """Description of a custom loss function for a deterministic code.

    Parameters
    ----------
    loss : callable
        Function ``loss(code, x, y)`` that returns the loss of a batch.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def check(self) -> None:
        """Raise TypeError if the loss is a class instead of an instance."""
        check_instance("mode", self.loss, "a loss function or an instance")

    def network_settings(self) -> dict[str, Any]:
        """Return the loss, which can have trained parameters."""
        return {"loss": self.loss}

    def architecture(self) -> dict[str, Any]:
        """Return the settings of a deterministic code."""
        return {"head": "deterministic"}

    def build(self, problem: Problem) -> Objective:
        """Return the loss as an objective."""
        return FunctionObjective(self.loss).float().to(problem.device)

    def takes_targets(self) -> bool:
        """Return True, because a custom loss accepts targets of any kind."""
        return True

    def unused_score(self) -> str | None:
        """Return the reason why a custom loss does not use ``score_estimator``."""
        return "mode is a loss function"


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: part.shape for name, part in module.named_parameters()}


def _check_arguments(loss: Loss) -> None:
    """Raise TypeError if a loss does not take a code, x and y."""
    try:
        signature = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss)
    except ValueError:  # a built-in function
        return
    try:
        signature.bind(None, None, None)
    except TypeError as error:
        raise TypeError(
            f"mode: the loss {loss!r:.80} must take the arguments (code, x, y), but takes "
            f"{signature}: pass a function such as "
            "lambda code, x, y: torch.nn.functional.mse_loss(code.z, y)"
        ) from error


def check_instance(name: str, value: Any, expected: str) -> None:
    """Raise TypeError if a parameter is a class instead of an instance."""
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be {expected}, got the class {value.__name__}: pass {value.__name__}()"
        )
