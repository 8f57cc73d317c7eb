"""HTML representations of estimators."""

from __future__ import annotations

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder


def test_descriptions_are_shown_inside_the_encoder() -> None:
    shown = MIGEEncoder(
        mode=InformationBottleneck(MIGE(marginal="classes"), beta=0.5)
    )._repr_html_()
    for text in ("InformationBottleneck", "beta", "0.5", "MIGE(", "classes"):
        assert text in shown
