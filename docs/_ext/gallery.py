"""The order of the gallery: first steps, then scores, information, encoders, bottlenecks."""

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
    "plot_precision.py",
    "plot_mi_gradient.py",
    "plot_gaussian_channel.py",
    "plot_linear_infomax.py",
    "plot_information_bottleneck.py",
    "plot_information_plane.py",
    "plot_bottleneck_robustness.py",
    "plot_bottleneck_novelty.py",
]


class ReadingOrder:
    """Sphinx-gallery's key of sorting: the place in the list."""

    def __init__(self, source_directory: str) -> None:
        self.source_directory = source_directory

    def __call__(self, file_name: str) -> int:
        """Say where an example stands."""
        return ORDER.index(file_name)
