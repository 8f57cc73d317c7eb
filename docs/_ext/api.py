"""The API reference, written from what each package lists in ``__all__``: no list to forget.

Before a build ``docs/api/generated/index.rst`` gets one section a package, each a table that
links to one page a name. The packages stand in the order in which a reader meets them.
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

GENERATED = Path(__file__).parents[1] / "api" / "generated"

PACKAGES = (
    "sk_mige",
    "sk_mige.score",
    "sk_mige.information",
    "sk_mige.inspection",
    "sk_mige.datasets",
    "sk_mige.networks",
    "sk_mige.training",
)


def public_names(package: str) -> list[str]:
    """List the documented names of one package, fully qualified; an absent package has none."""
    module = _module(package)
    if module is None:
        return []
    return [
        f"{package}.{name}"
        for name in getattr(module, "__all__", [])
        if not name.startswith("__") and _documented(getattr(module, name))
    ]


def _documented(value: object) -> bool:
    """Say whether a name gets a page: classes and functions do, modules and constants do not."""
    return inspect.isclass(value) or inspect.isroutine(value)


def _module(package: str) -> ModuleType | None:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name == package:
            return None
        raise


def write_index(app: Sphinx, config: Config) -> None:
    """Write the page of all public names."""
    sections = [_title("All public names", "=")]
    for package in PACKAGES:
        names = public_names(package)
        if not names:
            continue
        summary = (inspect.getdoc(_module(package)) or "").partition("\n")[0]
        listed = "\n".join(f"   {name}" for name in names)
        sections.append(
            f".. module:: {package}\n\n{_title(f'``{package}``', '-')}\n{summary}\n\n"
            f".. autosummary::\n   :toctree: .\n   :nosignatures:\n\n{listed}\n"
        )
    text = "\n".join(sections)
    GENERATED.mkdir(parents=True, exist_ok=True)
    target = GENERATED / "index.rst"
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _title(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before sphinx.ext.autosummary reads them."""
    app.connect("config-inited", write_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
