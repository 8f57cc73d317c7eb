"""The protocol of objectives, and the descriptions that build them."""

from __future__ import annotations

import copy
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

__all__ = [
    "Description",
    "FunctionObjective",
    "Information",
    "InformationTerm",
    "Objective",
    "Problem",
    "ShorthandMixin",
]

Loss = Callable[[Any, Tensor, Tensor], Tensor]  # takes a code, or another network's output


class Objective(nn.Module):
    """Base class of objectives: the loss of a batch.

    The training loop calls ``objective(code, x, y)`` in training and ``held_out(code, x, y)`` on
    held-out rows. The loop reads only the attributes listed here.

    Attributes
    ----------
    has_value : bool
        Whether ``held_out`` is a meaningful number. The value of a surrogate is not meaningful. If
        False, the loss of held-out rows is minus the information that two incomplete copies of a
        row share.
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
        """Return the loss of the code of inputs x (M, d) with targets y, a scalar tensor."""

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of held-out rows, by default the training loss."""
        loss: Tensor = self(code, x, y)
        return loss

    def continue_from(self, previous: Objective) -> None:
        """Reuse the learned parts of the previous objective, which the optimizer updates.

        Parameters
        ----------
        previous : Objective
            Objective of the training so far.

        Raises
        ------
        ValueError
            If the two objectives do not learn the same parts.
        """
        own = dict(self.named_parameters(recurse=False))
        theirs = dict(previous.named_parameters(recurse=False))
        parts = dict(previous.named_children())
        learning = {n: part for n, part in self.named_children() if list(part.parameters())}
        fits = all(name in theirs and theirs[name].shape == p.shape for name, p in own.items())
        if not fits or any(
            name not in parts or _shapes(part) != _shapes(parts[name])
            for name, part in learning.items()
        ):
            raise ValueError(
                "mode: the objective learns other parameters than before, such as another "
                "critic or prior matching; call fit with warm_start=False to start anew"
            )
        for name in own:
            setattr(self, name, theirs[name])
        for name in learning:
            setattr(self, name, parts[name])

    def fitted_attributes(self) -> dict[str, float]:
        """Return the attributes of the fitted encoder that the objective determines."""
        return {}


class FunctionObjective(Objective):
    """Objective from a function or module ``loss(code, x, y)``.

    Parameters
    ----------
    loss : callable
        Loss of a batch. A module is copied, and the parameters of the copy are trained with the
        network. An :class:`Objective` keeps its ``held_out``, ``has_value`` and ``classifies``.
    has_value : bool, default=True
        Whether the loss is a meaningful number on held-out rows.
    classifies : bool, default=False
        Whether the code's predictions are logits of classes.

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
        self.loss = copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss
        if isinstance(loss, Objective):
            has_value, classifies = loss.has_value, loss.classifies
        self.has_value = has_value
        self.classifies = classifies

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the function's value, a scalar tensor."""
        return self._checked(self.loss(code, x, y))

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the function's value, or the held-out loss of an objective."""
        held_out = self.loss.held_out if isinstance(self.loss, Objective) else self.loss
        return self._checked(held_out(code, x, y))

    def _checked(self, loss: Any) -> Tensor:
        if not isinstance(loss, Tensor) or loss.ndim > 0:
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"mode: the loss of a batch must be a tensor of shape (), got {got}; return its "
                "mean over the rows"
            )
        return loss

    def continue_from(self, previous: Objective) -> None:
        """Keep the module of the previous objective, with its parameters and buffers."""
        theirs = getattr(previous, "loss", None)
        if isinstance(self.loss, nn.Module):
            super().continue_from(previous)
            if isinstance(theirs, nn.Module):
                self.loss = theirs


@dataclass(frozen=True)
class Problem:
    """Properties of data and network from which a description builds its objective.

    Attributes
    ----------
    n_features, n_components, n_targets : int
        Width of a row, of its code and of its prediction.
    device : torch.device
        Device of the training.
    score : callable
        Score function of a batch, which the gradient of information uses.
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
        For each parameter with a shorthand, a function that returns the object for a shorthand, and
        returns an object unchanged.
    """

    _shorthands: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, nested ones by ``name__parameter``.

        Parameters
        ----------
        **params : dict
            Parameters. A shorthand is replaced by its object if nested parameters are set.

        Returns
        -------
        self
            This object.
        """
        nested = {key.partition("__")[0] for key in params if "__" in key}
        for name in nested & set(self._shorthands):
            params[name] = self._shorthands[name](params.get(name, getattr(self, name)))
        super().set_params(**params)
        return self

    def explicit_params(self) -> dict[str, Any]:
        """Return all parameters, including nested ones, with shorthands replaced by objects.

        Returns
        -------
        dict
            Parameters by name.
        """
        explicit: dict[str, Any] = {}
        for name, value in self.get_params(deep=False).items():
            if name in self._shorthands:
                value = self._shorthands[name](value)
            explicit[name] = value
            if isinstance(value, ShorthandMixin):
                nested = value.explicit_params()
            elif isinstance(value, BaseEstimator):
                nested = value.get_params()
            else:
                continue
            explicit.update({f"{name}__{key}": part for key, part in nested.items()})
        return explicit


class Description(ShorthandMixin):
    """Base class of ``MIGEEncoder``'s ``mode``: parameters from which an objective is built.

    A description has parameters and no state. A description can be cloned, searched over and
    stored. Subclasses define ``network_settings``, ``architecture`` and ``build``.

    Attributes
    ----------
    task : {"classification", "regression"} or None
        Kind of the targets, or None without targets.
    class_weight : dict, "balanced" or None
        Weights of the classes in the likelihood.
    n_prediction_samples : int
        Number of draws of z over which predictions are averaged; 0 means the mean of z.
    output_scale : {"input", "unit"} or None
        Units of z; with "input", ``fit`` maps z to the units of x after training.

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
        """Raise or warn if ``score_estimator``, or a projection of x, has no effect."""
        unused = self.unused_score()
        if unused is not None and not self.uses_score():
            raise ValueError(f"score_estimator is set, but {unused}: set score_estimator=None")
        if unused is not None:
            warn_user(f"score_estimator has no effect: {unused}")
        elif projects and (other := self.input_replaced_by()) is not None:
            warn_user(
                f"the projection of score_estimator has no effect: with {other}, the score does "
                "not depend on x itself; use SSGEScoreEstimator instead"
            )

    @abstractmethod
    def network_settings(self) -> dict[str, Any]:
        """Return the settings that determine the network, keyed by parameter.

        These settings cannot change while training continues.
        """

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Return the fields of :class:`sk_mige.networks.Architecture` that the description sets."""

    @abstractmethod
    def build(self, problem: Problem) -> Objective:
        """Return a new objective, with newly initialised parameters if it learns any."""

    def warn(self, batch_size: int, n_components: int) -> None:
        """Warn of settings that are unsuitable for batches of this size."""

    def takes_targets(self) -> bool:
        """Return whether the loss is a user's function, which accepts targets of any kind."""
        return False

    def uses_score(self) -> bool:
        """Return whether the estimator of information estimates scores."""
        return False

    def unused_score(self) -> str | None:
        """Return why ``score_estimator`` has no effect, or None if it has an effect."""
        return None

    def input_replaced_by(self) -> str | None:
        """Return the setting that removes x from the kernel, or None if the kernel uses x."""
        return None


class InformationTerm(nn.Module):
    """Base class of the estimates of I(x; z) that a bottleneck minimises.

    ``term(code, x, y)`` returns a scalar with the gradient of I(x; z), and the loss of the learned
    parts or None.

    Attributes
    ----------
    is_upper_bound : bool
        Whether the scalar is an upper bound of I(x; z) in nats if q(z | x) is Gaussian.
    """

    is_upper_bound: bool = False

    @torch.no_grad()
    def upper_bound(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Return an upper bound of I(x; z) in nats, the log-determinant of a Gaussian code."""
        assert code.conditional is not None
        return gaussian_mutual_info(*code.conditional)


class InfoMaxSettings(Protocol):
    """Parameters of InfoMax that an estimator of information reads."""

    n_views: int
    layer: str | None
    local: bool


class BottleneckSettings(Protocol):
    """Parameters of InformationBottleneck that an estimator of information reads."""

    head: str
    task: str

    def uses_closed_form(self) -> bool:
        """Return whether H(z | x) is computed in closed form."""
        ...


class Information(ShorthandMixin):
    """Base class of the estimators of information inside ``InfoMax`` and ``InformationBottleneck``.

    A subclass builds the objective that maximises the information, the term that minimises it, or
    both.

    Attributes
    ----------
    uses_score : bool
        Whether the information is estimated from scores, by ``MIGEEncoder``'s ``score_estimator``.

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
        """Raise ValueError if ``mode`` cannot maximise information by this estimator."""
        if type(self).build_infomax is Information.build_infomax:
            raise ValueError(
                f"information={self!r} defines no objective to maximise: use it in "
                "InformationBottleneck, or another information here"
            )
        self._validate_params()

    def check_bottleneck(self, mode: BottleneckSettings) -> None:
        """Raise ValueError if ``mode`` cannot limit information by this estimator."""
        if type(self).build_term is Information.build_term:
            raise ValueError(
                f"information={self!r} defines no information to lower: use it in InfoMax, or "
                "another information here"
            )
        self._validate_params()

    def build_infomax(self, mode: InfoMaxSettings, problem: Problem) -> Objective:
        """Return the objective that maximises I(x; z)."""
        raise NotImplementedError

    def build_term(self, mode: BottleneckSettings, problem: Problem) -> InformationTerm:
        """Return the term of a bottleneck's loss, which estimates I(x; z)."""
        raise NotImplementedError


class FunctionDescription(Description):
    """Description of a user's loss function, for a deterministic code.

    Parameters
    ----------
    loss : callable
        ``loss(code, x, y)``.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def check(self) -> None:
        """Raise TypeError for a class instead of an instance."""
        if isinstance(self.loss, type):
            raise TypeError(
                f"mode must be a loss function or an instance, got the class "
                f"{self.loss.__name__}: pass {self.loss.__name__}()"
            )

    def network_settings(self) -> dict[str, Any]:
        """Return the loss, whose parameters the optimizer updates."""
        return {"loss": self.loss}

    def architecture(self) -> dict[str, Any]:
        """Return the settings of a deterministic code."""
        return {"head": "deterministic"}

    def build(self, problem: Problem) -> Objective:
        """Return the loss as an objective."""
        return FunctionObjective(self.loss).float().to(problem.device)

    def takes_targets(self) -> bool:
        """Return True."""
        return True

    def unused_score(self) -> str | None:
        """Return why ``score_estimator`` has no effect: a custom loss does not use it."""
        return "mode is a loss function"


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: part.shape for name, part in module.named_parameters()}
