"""Ctrl-C at a chosen step of training."""

from __future__ import annotations

from typing import Any

import pytest

from sk_mige.training import EncoderNet


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training at its nth step, counted over all epochs from 1."""
    original, steps = EncoderNet.train_step_single, iter(range(1, step + 1))

    def interrupted(net: EncoderNet, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if next(steps) == step:
            raise KeyboardInterrupt
        return original(net, *args, **kwargs)

    monkeypatch.setattr(EncoderNet, "train_step_single", interrupted)
