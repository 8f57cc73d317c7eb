"""API reference, generated from the ``__all__`` of each package.

Before a build, one page for each package and an index are written to ``docs/api``. The page of a
package has a table with a link to the page of each name. The most used packages come first.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

API = Path(__file__).parents[1] / "api"

PACKAGES = {
    "sk_mige": "Estimators",
    "sk_mige.score": "Scores of tensors",
    "sk_mige.information": "Gradients of information",
    "sk_mige.inspection": "Plots",
    "sk_mige.metrics": "Metrics",
    "sk_mige.datasets": "Data",
    "sk_mige.objectives": "Objectives",
    "sk_mige.networks": "Networks",
    "sk_mige.training": "Training",
}

INTRODUCTION = """\
All names in the API reference are public, and the :doc:`/changelog` lists changes to public names.
Estimators also have the methods of every scikit-learn estimator, such as ``get_params``,
``set_params``, ``set_output`` and metadata routing.
"""


def public_names(package: str) -> list[str]:
    """Return the names of one package that have a page, or no names if the package is absent.

    A name of ``sk_mige`` has its only page under ``sk_mige``.
    """
    module = _module(package)
    if module is None:
        return []
    elsewhere = () if package == "sk_mige" else importlib.import_module("sk_mige").__all__
    named = [name for name in module.__all__ if not name.startswith("__") and name not in elsewhere]
    return [name for name in named if _documented(getattr(module, name))]


def _documented(value: object) -> bool:
    """Return whether a name is a class or a function, which has a page."""
    return inspect.isclass(value) or inspect.isroutine(value)


def _module(package: str) -> ModuleType | None:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name == package:
            return None
        raise


def write_pages(app: Sphinx, config: Config) -> None:
    """Write a page for each package, and the index."""
    present = [package for package in PACKAGES if public_names(package)]
    listed = "\n".join(f"   {package}" for package in present)
    pages = {package: _page(package) for package in present}
    pages["index"] = (
        f"{_title('API reference')}\n{INTRODUCTION}\n.. toctree::\n   :maxdepth: 2\n\n{listed}\n"
    )
    API.mkdir(exist_ok=True)
    for name, text in pages.items():
        target = API / f"{name}.rst"
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def _page(package: str) -> str:
    summary = (inspect.getdoc(_module(package)) or "").partition("\n")[0]
    names = "\n".join(f"   {name}" for name in public_names(package))
    return (
        f"{_title(f'{PACKAGES[package]}: {package}')}\n"
        f".. module:: {package}\n\n{summary}\n\n"
        f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{names}\n"
    )


def _title(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx reads the sources."""
    app.connect("config-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
