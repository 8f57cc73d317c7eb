"""How a fitted encoder is stored: NumPy weights and what rebuilds the network around them."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from sk_mige.training import available_device, seeded
from sk_mige.training.device import built_apart

from ._encoder_training import TrainingMixin

__all__ = ["PortableStateMixin"]


class PortableStateMixin(TrainingMixin):
    """Pickles without tensors.

    Weights are kept as NumPy arrays, so that a model fitted on a GPU loads on a machine without
    one, that stores which know no torch (skops) can hold it, and that nothing of the training
    data, of the optimizer's moments or of the batches' history is carried along. After loading,
    ``partial_fit`` and ``warm_start`` continue with a fresh optimizer.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if "net_" not in state:
            return state
        net, module = state.pop("net_"), state.pop("module_")
        for name in ("_device", "_built_with", "_copied_callbacks"):  # of this machine's net
            state.pop(name)
        state["_stored_weights"] = _to_numpy(module)
        state["_stored_objective"] = _to_numpy(net.criterion_)
        architecture = self._architecture.portable()
        state["_architecture"] = architecture
        if state["encoder"] is self._architecture.encoder:
            state["encoder"] = architecture.encoder
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("_stored_weights", None)
        objective = state.pop("_stored_objective", None)
        # Parameters that came after the version that wrote the file are at their defaults.
        state = {**type(self)().get_params(deep=False), **state}  # type: ignore[attr-defined]
        super().__setstate__(state)  # type: ignore[misc]
        if weights is None:
            return
        self._device = available_device(self.device)
        if self.device not in ("auto", str(self._device)) and (
            torch.device(self.device).type != self._device.type
        ):
            warnings.warn(
                f"the encoder was fitted with device={self.device!r}, "
                f"which this machine lacks; it continues on {self._device}",
                stacklevel=2,
            )
        with self._building():
            module = self._architecture.build()
            _from_numpy(module, weights)
            self._build_net(module)
        # Parameters that were set after fit may have given the objective other parts.
        _from_numpy(self.net_.criterion_, objective, strict=False)

    def _building(self) -> AbstractContextManager[None]:
        """Where the network is built again: apart from other threads, which may be training."""
        encoder = self._architecture.encoder
        if isinstance(encoder, str | nn.Module):
            return built_apart(self._seed)
        return seeded(self._seed, self._device)  # who knows what a user's function draws


def _to_numpy(module: Any) -> dict[str, Any]:
    if not isinstance(module, nn.Module):
        return {}
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def _from_numpy(module: Any, weights: dict[str, Any] | None, *, strict: bool = True) -> None:
    if weights:
        # Copies: the arrays of a memory-mapped pickle are read-only.
        module.load_state_dict({k: torch.tensor(v) for k, v in weights.items()}, strict=strict)
