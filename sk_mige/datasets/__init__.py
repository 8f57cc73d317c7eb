"""Toy densities with exact scores, and readers of the official image files."""

from ._banana import BananaScore, make_banana
from ._cifar import fetch_cifar10, fetch_cifar100
from ._correlated_gaussian import CorrelatedGaussianScore, make_correlated_gaussian
from ._exact_score import ExactScore
from ._files import get_data_home
from ._funnel import FunnelScore, make_funnel
from ._gaussian import GaussianScore, make_gaussian
from ._gaussian_clusters import make_gaussian_clusters, make_gaussian_grid
from ._gaussian_mixture import GaussianMixtureScore, make_gaussian_mixture
from ._mnist import fetch_fashion_mnist, fetch_mnist
from ._spherical_shell import SphericalShellScore, make_ring, make_spherical_shell
from ._stl10 import fetch_stl10
from ._student_t import StudentTScore, make_student_t

__all__ = [
    # samples and their exact score
    "make_gaussian",
    "make_gaussian_mixture",
    "make_gaussian_clusters",
    "make_gaussian_grid",
    "make_correlated_gaussian",
    "make_banana",
    "make_ring",
    "make_spherical_shell",
    "make_funnel",
    "make_student_t",
    # the scores themselves
    "ExactScore",
    "GaussianScore",
    "GaussianMixtureScore",
    "CorrelatedGaussianScore",
    "BananaScore",
    "SphericalShellScore",
    "FunnelScore",
    "StudentTScore",
    # real images
    "fetch_mnist",
    "fetch_fashion_mnist",
    "fetch_cifar10",
    "fetch_cifar100",
    "fetch_stl10",
    "get_data_home",
]
