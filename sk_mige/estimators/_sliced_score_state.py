"""How a fitted SlicedScoreMatching is stored: arrays, and the sizes that rebuild the network."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.base import BaseEstimator

from sk_mige.score import Whitening
from sk_mige.training import available_device
from sk_mige.training.device import built_apart

from ._stored import to_stored, to_tensors

__all__ = ["PortableScoreMixin"]


class PortableScoreMixin(BaseEstimator):
    """Pickles without tensors."""

    net_: Any
    device: Any
    _seed: int
    _whitening: Whitening

    def __getstate__(self) -> dict[str, Any]:
        """State of NumPy arrays, which load where there is no GPU and stores without torch know."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "net_" in state:
            module = state.pop("net_").module_
            weights = {k: t.detach().cpu().numpy() for k, t in module.state_dict().items()}
            state["_stored_weights"] = weights
            state["_whitening"] = to_stored(self._whitening)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a fitted estimator on the device that it asks for, or else on "auto"."""
        state = dict(state)
        weights = state.pop("_stored_weights", None)
        super().__setstate__(state)
        if weights is None:
            return
        device = available_device(self.device)
        self._whitening = to_tensors(state["_whitening"], torch.device("cpu"))
        with built_apart(self._seed):
            self._build_net(device)
        self.net_.module_.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
