"""Pairs of tables divided into shared values, labels and numbers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sk_mige.information.evidence import Evidence
from sk_mige.information.residuals import LinearResiduals

from ._chain_rule import (
    MAX_RARE,
    MIN_CLASS,
    Estimator,
    FittedTerm,
    InformationEstimate,
    Part,
    Term,
    combine,
    fit_terms,
    joint_information,
    order_key,
    row_labels,
)
from ._shared_values import (
    KnownFunction,
    SharedValues,
    atoms_of,
    common_clusters,
    distinct_columns,
    shared_columns,
)
from ._variables import Array, Columns, discrete_columns, pair_codes

NAMES = ("X", "X labels", "X numbers"), ("Y", "Y labels", "Y numbers")


class DividedPair:
    r"""Mutual information of tables that share repeated values, or that mix labels and numbers.

    Let k be repeated values that both X and Y determine. Then

    .. math:: I(X; Y) = H(k) + I(X; Y \mid k) .

    If X and Y share no repeated values, the chain rule divides the columns into labels and numbers.
    A frequent value of a column of numbers, for example the zero of amounts, is also a label.
    If distant clusters of X and of Y contain the same rows, the index of the cluster is also a
    repeated value. Unions of clusters are used in the same way.
    """

    def __init__(self, x: Array, y: Array) -> None:
        self.columns = [Columns(name, z) for name, z in (("X", x), ("Y", y))]
        numbers = self._numbers(x, y)
        self.relations = LinearResiduals(*map(torch.from_numpy, numbers))
        self.labels = [discrete_columns(z) for z in (x, y)]
        self.atoms = [
            [atoms_of(column) for column in z.T[~own]]
            for z, own in zip(numbers, self.labels, strict=True)
        ]
        self.clusters = common_clusters(*numbers)
        pair = self._with_relations(x, y)
        first, counts = np.unique(pair_codes(x, y), return_counts=True)
        are_copies = x.shape[1] + y.shape[1] > 2 or (counts.min() > 1 and np.ptp(counts) == 0)
        rows = first if are_copies else slice(None)  # copies are no evidence for a function
        functions = shared_columns(*(z[rows] for z in pair))
        self.shared = [list(own) for own in functions]
        self.functions = [
            {str(k): KnownFunction(causes, z, effects[:, k]) for k, causes in own.items()}
            for own, z, effects in zip(functions, pair[::-1], pair, strict=True)
        ]
        self.distinct = distinct_columns(self._shared_values(*pair))
        self.fits: list[FittedTerm] = []

    def applies(self, x: Array, y: Array) -> bool:
        """Return whether the tables share repeated values, or mix numbers and frequent labels."""
        if any(self.shared):
            return True
        if any(own.all() for own in self.labels):
            return False
        labels = [z for name, z in self._tables(x, y).items() if name.endswith("labels")]
        sizes = [np.unique(z, return_counts=True)[1] for z in labels]
        rare = [own[own < MIN_CLASS].sum() for own in sizes]
        return bool(rare) and max(rare) <= MAX_RARE * len(x)

    def fit(self, x: Array, y: Array, estimator: Estimator) -> InformationEstimate:
        """Fit the terms and return their sum."""
        tables = self._tables(x, y)
        parts = {
            n: Part(n, z, n not in ("X", "Y", "X numbers", "Y numbers")) for n, z in tables.items()
        }
        sides = sorted((tuple(parts[n] for n in own if n in parts) for own in NAMES), key=order_key)
        self.fits = []
        if any(self.shared):
            entropy = Term((parts["X's shared values"],), (parts["Y's shared values"],), ())
            found = SharedValues(*(tables[f"{n}'s shared values"] for n in "XY"))
            self.fits = [FittedTerm("H(shared values)", entropy.names, found, np.arange(len(x)), 1)]
            terms = [Term(sides[0], sides[1], (parts["shared values"],))] if all(sides) else []
        else:
            terms = list(joint_information(*sides))
        self.fits += fit_terms(terms, [], estimator)
        return combine(self.fits, len(x))

    def pmi(self, x: Array, y: Array) -> NDArray[np.float64]:
        """Return the pointwise information of new rows."""
        tables = self._tables(x, y)
        total = sum((fit.pmi(tables) for fit in self.fits), start=np.zeros(len(x)))
        pair = self._with_relations(x, y)
        for own, causes, effects in zip(self.functions, pair[::-1], pair, strict=True):
            for k, function in own.items():
                total[function.is_violated(causes, effects[:, int(k)])] = -np.inf
        return total

    def permutation_test(self, n_permutations: int) -> float:
        """Return the smallest p-value of the terms, times the number of terms."""
        values = [fit.estimator.permutation_test(n_permutations) for fit in self.fits]
        return min(1.0, len(values) * min(values))

    def evidence(self) -> list[Evidence]:
        """Return the value and the weight of each term."""
        return [
            Evidence(
                fit.name,
                fit.estimator.mutual_info_,
                np.nan,
                float(fit.estimator.pointwise_.mean()),
                np.nan,
                torch.zeros(0),
                weight=fit.weight,
            )
            for fit in self.fits
        ]

    def _tables(self, x: Array, y: Array) -> dict[str, Array]:
        """Return the columns of each part of X and Y: shared values, labels and numbers."""
        tables = {}
        if any(self.shared):
            numbers = self._with_relations(x, y)
            for name, z, codes, shared in zip("XY", (x, y), numbers, self.shared, strict=True):
                tables[f"{name}'s shared values"] = row_labels(codes[:, shared])[:, None]
                rest = np.delete(z, [k for k in shared if k < z.shape[1]], axis=1)
                if rest.shape[1]:
                    tables[name] = rest
            both = self._shared_values(*numbers)[:, self.distinct]
            tables["shared values"] = row_labels(both)[:, None]
            return tables
        sides = zip("XY", self._numbers(x, y), self.labels, self.atoms, strict=True)
        for name, z, labels, atoms in sides:
            codes = np.hstack([z[:, labels], *map(_places, z.T[~labels], atoms)])
            if codes.shape[1]:
                tables[f"{name} labels"] = row_labels(codes)[:, None]
            if not labels.all():
                tables[f"{name} numbers"] = z[:, ~labels]
        return tables

    def _shared_values(self, x: Array, y: Array) -> Array:
        """Return the shared columns of both tables."""
        return np.hstack([x[:, self.shared[0]], y[:, self.shared[1]]])

    def _numbers(self, x: Array, y: Array) -> list[NDArray[np.float64]]:
        # Labels become codes, because indicators of many labels would need much memory.
        return [c.transform(z) for c, z in zip(self.columns, (x, y), strict=True)]

    def _with_relations(self, x: Array, y: Array) -> list[NDArray[np.float64]]:
        """Return numeric tables with the labels that X and Y share, as further columns.

        The labels are rounded values of exact linear relations, and indices of atoms and clusters.
        """
        numbers = self._numbers(x, y)
        relations = self.relations.exact_values(*map(torch.from_numpy, numbers))
        sides = zip(numbers, relations, self.labels, self.atoms, self.clusters, strict=True)
        return [
            np.column_stack(
                [
                    z,
                    own.numpy(),
                    *map(_places, z.T[~labels], atoms),
                    *(found.transform(z) for found in clusters),
                ]
            )
            for z, own, labels, atoms, clusters in sides
        ]


def _places(column: NDArray[np.float64], atoms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the index of the atom equal to each value, or -1. Without atoms, return no column."""
    if not len(atoms):
        return np.empty((len(column), 0))
    place = np.searchsorted(atoms, column).clip(0, len(atoms) - 1)
    return np.where(atoms[place] == column, place, -1.0)[:, None]
