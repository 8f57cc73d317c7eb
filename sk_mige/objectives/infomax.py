"""InfoMax: its description."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_mige._warnings import warn_user

from .base import Information, Objective, Problem
from .information import INFORMATIONS, InformationDescription
from .prior import PriorMatched

__all__ = ["InfoMax"]


class InfoMax(InformationDescription):
    r"""InfoMax: keep as much information about x in z as possible, without targets.

    .. math:: \max_\phi\; I(x; z), \qquad z = E_\phi(x)

    ``MIGEEncoder(mode=InfoMax(...))`` is a transformer. ``mode="infomax"`` is short for
    ``mode=InfoMax()``.

    Parameters
    ----------
    information : str, MIGE, Critic, Information or callable, default="mige"
        Estimator of I(x; z). A name is short for its object: "mige" is :class:`MIGE`, and the
        name of a bound is :class:`Critic`. A callable ``loss(code, x, y)`` returns the loss of a
        batch, a scalar tensor. Its y are the targets of ``fit``, or zeros without them. With
        several views, ``code.z`` has the shape (S, M, K).
    corruption : float, default=0.3
        Probability with which each value of a row is set to 0 in a training step; the others are
        divided by ``1 - corruption``. The information between x and the representation of a
        corrupted x is finite, and robust features count for more.
    augmentation : callable, default=None
        Function applied to each training batch before the encoder. It takes a tensor of shape
        ``(M, *input_shape)`` and returns one like it, such as torchvision's transforms, which
        treat all images of a batch alike; ``lambda batch: torch.stack([t(x) for x in batch])``
        draws anew for each image. It is called once for each view. The information is that of the
        original rows. It must be picklable if the encoder is to be.
    n_views : int, default=1
        Number of copies of each row, independently augmented and corrupted, in a training step.
        One copy is compared with x itself. With two or more, differences between the copies count
        as noise; see :func:`sk_mige.information.multiview_mutual_info_surrogate`. The cost grows
        with ``n_views``. Batches should have ``2 * n_components / (n_views - 1)`` rows or more.
        With a critic, the bound is that of the copies' information about each other.
    layer : str, default=None
        Name of a submodule of the encoder whose output h takes the place of x: I(h; z) is
        maximised. An example is "conv" of ``encoder="conv"``. With MIGE, this is the paper's
        circumstance II; with "jsd" or "infonce", Deep InfoMax's global objective DIM(G).
    local : bool, default=False
        Whether h is one location of that layer's feature map at a time, averaged over locations:
        Deep InfoMax's local objective DIM(L), whose layer is "conv.5".
    prior_weight : float, default=0.0
        Weight of the prior-matching loss, which moves the sigmoid of each component to a uniform
        distribution; 0 disables it.
    output_scale : {"input", "unit"} or None, default="input"
        Units of z. Information does not depend on them, but its estimate does. "unit" ends the
        network with a batch norm without weights. "input" uses the same batch norm in training.
        After ``fit``, z is mapped linearly to the units of x, like the components of PCA; see
        :func:`sk_mige.training.input_alignment`. ``partial_fit`` does not change this map. None
        leaves the scale to training.

    See Also
    --------
    InformationBottleneck : Objective with targets.
    MIGE : Gradient of information by score estimation.
    Critic : Bounds of information by trained critics.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import InfoMax, MIGEEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(16, mode=InfoMax(corruption=0.5), max_epochs=2, random_state=0)
    >>> encoder.fit_transform(X).shape
    (1797, 16)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "information": [StrOptions(set(INFORMATIONS)), Information, callable],
        "corruption": [Interval(Real, 0, 1, closed="left")],
        "augmentation": [callable, None],
        "n_views": [Interval(Integral, 1, None, closed="left")],
        "layer": [str, None],
        "local": ["boolean"],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "output_scale": [StrOptions({"input", "unit"}), None],
    }

    def __init__(
        self,
        information: Any = "mige",
        *,
        corruption: float = 0.3,
        augmentation: Callable[[Tensor], Tensor] | None = None,
        n_views: int = 1,
        layer: str | None = None,
        local: bool = False,
        prior_weight: float = 0.0,
        output_scale: str | None = "input",
    ) -> None:
        self.information = information
        self.corruption = corruption
        self.augmentation = augmentation
        self.n_views = n_views
        self.layer = layer
        self.local = local
        self.prior_weight = prior_weight
        self.output_scale = output_scale

    def check(self) -> None:
        """Raise ValueError for parameters that are invalid or contradict each other."""
        self._validate_params()
        self.estimator.check_infomax(self)
        if self.local and self.layer is None:
            raise ValueError(
                "local=True needs layer, the name of a submodule whose output is a feature map: "
                "'conv' or 'conv.5' for encoder='conv'"
            )
        if self.n_views == 1:
            return
        if self.augmentation is None and self.corruption == 0:
            raise ValueError(
                f"n_views={self.n_views} makes equal copies: give an augmentation, or "
                "corruption > 0, in which they differ"
            )
        if self.layer is not None:
            raise ValueError(
                f"n_views={self.n_views} compares views with each other, layer={self.layer!r} "
                "compares an inner layer with z: set n_views=1, or layer=None"
            )

    def network_settings(self) -> dict[str, Any]:
        """Return all settings of training inputs and codes, and the information's learned parts."""
        names = ("corruption", "augmentation", "n_views", "layer", "local", "output_scale")
        settings = {name: getattr(self, name) for name in names}
        return {**settings, "information": self.learned_parts()}

    def architecture(self) -> dict[str, Any]:
        """Return the head and the changes of training inputs."""
        return {
            "head": "deterministic" if self.output_scale is None else "standardizing",
            "corruption": float(self.corruption),
            "augmentation": self.augmentation,
            "n_views": int(self.n_views),
            "layer": self.layer,
            "local": self.local,
        }

    def build(self, problem: Problem) -> Objective:
        """Return the objective, with fresh parameters where it learns any."""
        objective = self.estimator.build_infomax(self, problem)
        if self.prior_weight > 0:
            objective = PriorMatched(objective, problem.n_components, self.prior_weight)
        return objective.float().to(problem.device)

    def warn(self, batch_size: int, n_components: int) -> None:
        """Warn of batches with too few rows to estimate scores from."""
        if not self.uses_score():
            return
        needed = -(-2 * n_components // max(1, self.n_views - 1))
        if self.n_views == 1 and batch_size < n_components:
            warn_user(
                f"batches of {batch_size} rows are fewer than n_components={n_components}, so the "
                "estimated scores are too short: use a larger batch_size, or fewer components"
            )
        elif self.n_views > 1 and batch_size < needed:
            warn_user(
                f"n_views={self.n_views} in batches of {batch_size} rows gives too few differences "
                f"between views to estimate the noise in n_components={n_components} dimensions: "
                f"use batches of {needed} rows or more, or fewer components"
            )

    def input_replaced_by(self) -> str | None:
        """Return the setting of several views, or of an inner layer."""
        if self.n_views > 1:
            return f"n_views={self.n_views}"
        return None if self.layer is None else f"layer={self.layer!r}"
