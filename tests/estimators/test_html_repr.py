"""HTML representations of estimators, and their links to the documentation."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import (
    MIGE,
    InformationBottleneck,
    MIGEEncoder,
    SlicedScoreMatching,
    SSGEScoreEstimator,
)

SITE = "file:///somewhere/html"


@pytest.mark.parametrize("Estimator", [MIGEEncoder, SSGEScoreEstimator, SlicedScoreMatching])
def test_the_representation_links_to_the_estimators_page(
    Estimator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SK_MIGE_DOCS", SITE + "/")
    page = f"{SITE}/api/generated/sk_mige.{Estimator.__name__}.html"
    assert page in Estimator()._repr_html_()
    assert page in make_pipeline(StandardScaler(), Estimator())._repr_html_()


def test_the_projects_address_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Metadata:
        def get_all(self, name: str) -> list[str]:
            return ["Source, https://example.org/code", "Documentation, https://example.org/docs/"]

    monkeypatch.delenv("SK_MIGE_DOCS", raising=False)
    monkeypatch.setattr("sk_mige.estimators._base.metadata.metadata", lambda name: Metadata())
    expected = "https://example.org/docs/api/generated/sk_mige.MIGEEncoder.html"
    assert MIGEEncoder()._get_doc_link() == expected


def test_users_subclasses_have_no_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SK_MIGE_DOCS", SITE)

    class Mine(SSGEScoreEstimator):
        pass

    assert Mine()._get_doc_link() == ""
    assert SITE not in Mine()._repr_html_()


def test_descriptions_are_shown_inside_the_encoder() -> None:
    shown = MIGEEncoder(
        mode=InformationBottleneck(MIGE(marginal="classes"), beta=0.5)
    )._repr_html_()
    for text in ("InformationBottleneck", "beta", "0.5", "MIGE(", "classes"):
        assert text in shown
