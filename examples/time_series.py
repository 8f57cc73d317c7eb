"""
Time series with few labels
===========================

This example trains encoders on time series without labels. Classifiers of the representations are
compared with standard classifiers of time series, with few labels and with all labels.
"""
# The data are a part of aeon, which is not a dependency of the documentation. To run the script:
#
#     pip install aeon==1.6.0
#     OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python examples/time_series.py
#
# Without ``NUMBA_NUM_THREADS``, aeon sets the number of threads of PyTorch to the number of cores.
# The script writes docs/results/time_series.json and docs/images/time_series.png. Finished
# measurements are stored, and the next call continues an interrupted run.

# sphinx_gallery_thumbnail_path = 'images/time_series.png'

# %%
# Data
# ----
#
# Three data sets of the UCR archive are used. *Leaves* are outlines of the leaves of six tree
# species. *Movements* are hand movements with or without a gun. *Electricity* is the electricity
# demand of a day in summer or winter. For each split, encoders are trained on half of the series
# without labels. One fifth of the series is used to choose an encoder, and the rest for tests.

import sys
from pathlib import Path

import numpy as np
import torch
from aeon.classification.convolution_based import MiniRocketClassifier
from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier
from aeon.datasets import load_classification
from joblib import Memory
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from sk_mige import InfoMax, MIGEEncoder, VICReg

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from report import PROGRESS, draw_differences, repeated, write
from representation_criteria import effective_rank

DATA = {"leaves": "OSULeaf", "movements": "GunPoint", "electricity": "ItalyPowerDemand"}
SPLITS, TEST, CHOOSE, N_LABELS = range(5), 0.3, 0.2, 5
ACCURACIES = ("five labels per class", "all labels")


def split_series(data, seed):
    """Return the standardised series and the classes to train, choose and test."""
    X, y = load_classification(DATA[data])  # (n, 1, length)
    X = StandardScaler().fit_transform(X[:, 0].T).T[:, None].astype(np.float32)
    rest, test = train_test_split(np.arange(len(y)), test_size=TEST, random_state=seed, stratify=y)
    train, choose = train_test_split(
        rest, test_size=CHOOSE / (1 - TEST), random_state=seed, stratify=y[rest]
    )
    return [(X[rows], y[rows]) for rows in (train, choose, test)]


# %%
# Network and views
# -----------------
#
# A small convolutional network replaces the default network. An augmentation specifies the changes
# of a series that the representation should ignore. ``crop`` stretches a random part of each series
# to the full length, and adds noise. The outline of a leaf is closed, so for leaves ``turn`` also
# starts each series at a random point.


def network(shape, n_outputs):
    channels, length = shape
    return nn.Sequential(
        nn.Conv1d(channels, 32, 9, stride=max(1, length // 64), padding=4),
        nn.BatchNorm1d(32), nn.ReLU(),
        nn.Conv1d(32, 32, 5, stride=2, padding=2), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Conv1d(32, 64, 3, padding=1), nn.BatchNorm1d(64), nn.ReLU(),
        nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(128, n_outputs),
    )  # fmt: skip


def crop(series):
    n, _, length = series.shape
    size = 0.7 + 0.3 * torch.rand(n, 1)
    place = 2 * (torch.rand(n, 1) * (1 - size) + size * torch.linspace(0, 1, length)) - 1
    grid = torch.stack([place, torch.zeros_like(place)], 2)[:, None]
    part = nn.functional.grid_sample(series[:, :, None], grid, align_corners=True)[:, :, 0]
    return part + 0.05 * torch.randn_like(part)


def turn(series):
    start = torch.randint(series.shape[2], (len(series), 1))
    place = (start + torch.arange(series.shape[2])) % series.shape[2]
    return crop(series.gather(2, place[:, None].expand_as(series)))


CONVOLUTION = {"encoder": network, "max_epochs": 60, "batch_size": 128}
ENCODERS = {
    "MIGEEncoder": {},
    "MIGEEncoder, convolution": CONVOLUTION,
    "MIGEEncoder, two crops": CONVOLUTION
    | {"mode": InfoMax(augmentation=crop, n_views=2, corruption=0.0)},
    "MIGEEncoder, two turned crops": CONVOLUTION
    | {"mode": InfoMax(augmentation=turn, n_views=2, corruption=0.0)},
    "VICReg, two turned crops": CONVOLUTION
    | {"mode": InfoMax(VICReg(), augmentation=turn, n_views=2, corruption=0.0)},
}
UNTRAINED = CONVOLUTION | {"max_epochs": 1, "lr": 1e-30}
CLASSIFIERS = {
    "1-NN, dynamic time warping": lambda seed: KNeighborsTimeSeriesClassifier(
        distance="dtw", distance_params={"window": 0.1}
    ),
    "MiniRocket": lambda seed: MiniRocketClassifier(random_state=seed),
}


def representation(method, seed):
    flat = FunctionTransformer(lambda series: series.reshape(len(series), -1))
    if method == "all values":
        return flat
    if method == "PCA":
        return make_pipeline(flat, PCA(16, random_state=seed))
    parameters = UNTRAINED if method == "untrained convolution" else ENCODERS[method]
    return MIGEEncoder(16, random_state=seed).set_params(**parameters)


# %%
# Measurements
# ------------
#
# Logistic regression evaluates each representation. Dynamic time warping (DTW) and MiniRocket are
# standard classifiers of time series, and use only the labelled series.


@Memory(PROGRESS, verbose=0).cache
def measure(data, method, seed):
    """Return accuracies in percent, effective rank and ``score``."""
    (A, a), (B, _), (C, c) = split_series(data, seed)
    rng = np.random.default_rng(seed)
    few = [rng.permutation(np.flatnonzero(a == k))[:N_LABELS] for k in np.unique(a)]
    labelled = {"five labels per class": np.concatenate(few), "all labels": np.arange(len(a))}
    found = {}
    if method in CLASSIFIERS:
        Z, Z_test, classifier = A, C, CLASSIFIERS[method](seed)
    else:
        model = representation(method, seed).fit(A)
        Z, Z_test = model.transform(A), model.transform(C)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        found["effective rank"] = effective_rank(Z_test)
    if method in ENCODERS:
        found["score"] = model.score(B)
    for feature, rows in labelled.items():
        found[feature] = 100 * classifier.fit(Z[rows], a[rows]).score(Z_test, c)
    return found


# %%
# A further line of the table is the encoder with the highest ``score``, chosen separately for each
# split.

rows, compared = [], []
for data in DATA:
    encoders = [name for name in ENCODERS if data == "leaves" or "turned" not in name]
    methods = ("all values", "PCA", "untrained convolution", *encoders, *CLASSIFIERS)
    found = {method: [measure(data, method, seed) for seed in SPLITS] for method in methods}
    found["MIGEEncoder, highest score"] = [
        max((found[name][split] for name in encoders), key=lambda run: run["score"])
        for split in SPLITS
    ]
    measured, changes = repeated(data, found, ACCURACIES, "all values", TEST / (1 - TEST - CHOOSE))
    rows, compared = rows + measured, compared + changes
command = "python examples/time_series.py"
print(write("time_series", "Time series with few labels", command, rows + compared))
drawn = [r for r in compared if "untrained" not in r["method"]]
draw_differences("time_series", drawn, ("dataset", "feature"), "points more than all values")

# %%
# Results
# -------
#
# The table lists accuracies. The picture shows paired differences from all values with 95 %
# intervals, without the untrained network. The intervals are corrected for splits of the same
# series (Nadeau and Bengio, *Inference for the generalization error*, 2003).
#
# .. image:: /images/time_series.png
#    :alt: Accuracy minus the accuracy of logistic regression on all values, for three data sets
#
# .. results:: time_series
#    :metric: accuracy, %
#    :features: across
#
# On leaves, training increases the mean accuracy of the convolutional network, and views increase
# the accuracy further. With all labels, two turned crops have a higher mean accuracy than the other
# encoders and dynamic time warping. MiniRocket is far more accurate than the encoders, so use
# MiniRocket if only the classes are needed.
#
# On movements, the interval of every encoder contains 0. With five labels per class, the mean
# accuracy of two crops is lower than that of the network without views.
#
# On electricity, no encoder has a higher mean accuracy than all values. With all labels, the mean
# accuracies of all methods differ by less than three points, and every interval contains 0. With
# five labels per class, all values and MiniRocket are more accurate than PCA and the encoders.
#
# The next table lists the effective rank, and ``score`` in nats. On leaves and movements, ``score``
# chooses the default network, which has the lowest mean accuracy of all encoders. ``score``
# increases with all information that the values of a series share, including the information that
# an augmentation removes. Do not choose an augmentation by ``score``.
#
# .. results:: time_series
#    :metric: effective rank; score
#    :features: across
#    :measured: above
