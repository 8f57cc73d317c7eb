"""Configuration of the documentation, which builds offline (see intersphinx below)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

# One thread is fastest for the gallery's small matrices, especially on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from gallery import ORDER

import sk_mige

project = "sk_mige"
author = "The sk_mige developers"
copyright = "2026, the sk_mige developers"
version = release = sk_mige.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    "myst_parser",
    "sphinx-mathjax-offline",
    "api",
    "results",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "results", "images"]
default_role = "code"
toc_object_entries_show_parents = "hide"
nitpicky = False

# -- API reference --------------------------------------------------------------------------------
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # types are in the docstrings, with shapes
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


def skip_foreign_member(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Omit members that are inherited from other packages."""
    origin = getattr(obj, "__module__", None) or ""
    if name.startswith("set_") and name.endswith("_request"):
        return True
    return True if origin.startswith(("sklearn.", "skorch.", "torch.", "typing")) else None


# -- gallery --------------------------------------------------------------------------------------
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"[\\/]plot_",
    # Scripts that the order does not list (quickstart, studies) are not in the gallery.
    "ignore_pattern": rf"(^|[\\/])(?!({'|'.join(ORDER)})$)\w+\.py$",
    "copyfile_regex": r"",
    "nested_sections": False,
    "within_subsection_order": "gallery.ReadingOrder",
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "only_warn_on_example_error": True,  # and a warning fails the build
    "parallel": 2,
    "image_srcset": ["2x"],
    "doc_module": ("sk_mige",),
    "backreferences_dir": "api/backreferences",
    "reference_url": {"sk_mige": None},
    "plot_gallery": os.environ.get("SK_MIGE_GALLERY", "1") != "0",
    "write_computation_times": False,
}

# -- links to other projects' documentation, optional because they need the network ----------------
if os.environ.get("SK_MIGE_INTERSPHINX") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "skorch": ("https://skorch.readthedocs.io/en/stable", None),
    }

# MathJax is part of the site. A formula that is too wide for the page scrolls.
mathjax3_config = {"chtml": {"displayAlign": "left", "displayIndent": "1.5em"}}

# -- HTML -----------------------------------------------------------------------------------------
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["sk_mige.css"]
html_title = "sk_mige"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "sk_mige"},
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "collapse_navigation": True,
    "show_toc_level": 2,
}
html_sidebars = {
    page: []
    for page in ("gallery/**", "changelog", "getting_started", "architecture", "contributing")
}


def setup(app: Any) -> None:
    """Connect the functions of this file."""
    app.connect("autodoc-skip-member", skip_foreign_member)
