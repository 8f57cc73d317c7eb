"""Order of the gallery: first steps, scores, information, encoders, bottlenecks, other data.

The build runs examples whose names begin with ``plot_``. The other examples need more packages, and
show stored results.
"""

from __future__ import annotations

__all__ = ["ORDER", "ReadingOrder"]

ORDER = [
    "plot_quickstart.py",
    "plot_digits_representation.py",
    "plot_toy_densities.py",
    "plot_score_field.py",
    "plot_score_estimators.py",
    "plot_choosing_threshold.py",
    "plot_sample_size.py",
    "plot_score_dimension.py",
    "plot_random_projection.py",
    "plot_stein.py",
    "plot_anomaly.py",
    "plot_denoise.py",
    "plot_precision.py",
    "plot_mutual_information.py",
    "plot_mi_gradient.py",
    "plot_gaussian_channel.py",
    "plot_information_ascent.py",
    "plot_linear_infomax.py",
    "plot_own_objective.py",
    "plot_information_bottleneck.py",
    "plot_information_plane.py",
    "plot_bottleneck_robustness.py",
    "plot_bottleneck_novelty.py",
    "single_cells.py",
    "time_series.py",
]


class ReadingOrder:
    """Sort key for Sphinx-Gallery: the position in ``ORDER``."""

    def __init__(self, source_directory: str) -> None:
        self.source_directory = source_directory

    def __call__(self, file_name: str) -> int:
        """Return the position of an example."""
        return ORDER.index(file_name)
