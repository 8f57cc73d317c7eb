"""Where the pictures of estimators in notebooks link to: this package's own reference."""

from __future__ import annotations

import os
from importlib import metadata

__all__ = ["DocLinkMixin"]

# Names a build of the documentation, such as file:///home/me/sk_mige/docs/_build/html.
VARIABLE = "SK_MIGE_DOCS"


class DocLinkMixin:
    """Gives scikit-learn's HTML representation a link to the estimator's page.

    The site is the package's project URL "Documentation", or what the environment variable
    ``SK_MIGE_DOCS`` names; without either there is no link.
    """

    _doc_link_module = "sk_mige"

    @property
    def _doc_link_template(self) -> str:
        return f"{_site()}/api/generated/sk_mige.{{estimator_name}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        return {"estimator_name": type(self).__name__}

    def _get_doc_link(self) -> str:
        if not type(self).__module__.startswith("sk_mige.") or not _site():
            return ""
        return self._doc_link_template.format(**self._doc_link_url_param_generator())


def _site() -> str:
    if VARIABLE in os.environ:
        return os.environ[VARIABLE].rstrip("/")
    try:
        urls = metadata.metadata("sk-mige").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # on the path, but not installed
        return ""
    named = dict(url.split(", ", 1) for url in urls)
    return str(named.get("Documentation", "")).rstrip("/")
