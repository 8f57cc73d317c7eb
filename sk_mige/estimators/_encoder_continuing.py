"""What may change between two calls that train one network, and what may not."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sk_mige.training import resolve_device

from ._encoder_building import Architecture

__all__ = ["expect_same_network", "same"]


def expect_same_network(encoder: Any, asked: Architecture) -> None:
    """Refuse parameters that were set since the network was built and that it cannot follow."""
    changes = _changes(encoder, asked)
    if changes:
        raise ValueError(
            f"{', '.join(changes)}: partial_fit and warm_start=True train on the network there "
            "is, and that cannot change; set it back, or call fit with warm_start=False, which "
            "begins anew with all parameters as they are"
        )


def same(first: Any, second: Any) -> bool:
    """Whether two values of a parameter are one: equal, for functions and modules identical."""
    return first is second or bool(first == second)


def _changes(encoder: Any, asked: Architecture) -> list[str]:
    """What was asked for beside what there is, a parameter each."""
    there: Architecture = encoder._architecture
    changed = [
        field.name
        for field in fields(asked)
        if not same(getattr(asked, field.name), getattr(there, field.name))
    ]
    said = {name: _instead(name, getattr(asked, name), getattr(there, name)) for name in changed}
    if "n_draws" in said:
        said["n_draws"] = (
            f"n_training_samples={encoder.n_training_samples} with head={encoder.head!r} and "
            f"conditional={encoder.conditional!r} ({asked.n_draws} draws instead of "
            f"{there.n_draws})"
        )
    for name, before in encoder._built_with.items():
        now = getattr(encoder, name)
        if same(now, before):
            continue
        if name == "device" and resolve_device(now) == encoder._device:
            continue  # another name of the same one
        said[name] = _instead(name, now, before)
    task = getattr(encoder, "task_", None)
    if task is not None and encoder.task not in ("auto", task):
        said["task"] = _instead("task", encoder.task, task)
    return list(said.values())


def _instead(name: str, now: Any, before: Any) -> str:
    return f"{name}={_short(now)} instead of {_short(before)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"<{type(value).__name__}>"
