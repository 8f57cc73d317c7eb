"""Scores, gradients of mutual information and representations, in scikit-learn's manner."""

__version__ = "0.1.0"

__all__ = ["__version__"]
