"""The score of an encoder without targets, and searches by it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from sk_mige import InformationBottleneck, MIGEEncoder


@pytest.fixture(scope="module")
def X():
    return load_digits().data[:600]


def small(mode="infomax", **options):
    return MIGEEncoder(
        mode=mode, **{"n_components": 8, "max_epochs": 3, "random_state": 0, **options}
    )


def test_a_trained_encoder_has_a_higher_score_than_an_untrained_one(X):
    untrained = small(max_epochs=1, lr=1e-9).fit(X[:400])
    assert small().fit(X[:400]).score(X[400:]) > 1.5 * untrained.score(X[400:])


def test_a_search_without_targets_prefers_enough_components(X):
    search = GridSearchCV(small(), {"n_components": [1, 8]}, cv=2).fit(X)
    assert search.best_params_ == {"n_components": 8}


def test_the_score_is_the_same_in_every_call_and_in_every_unit_of_the_code(X):
    encoder = small().fit(X)
    assert encoder.score(X) == encoder.score(X)
    assert encoder.score(X) >= 0


def test_targets_are_ignored_without_a_predictor(X):
    encoder = small().fit(X)
    assert encoder.score(X, np.arange(len(X))) == encoder.score(X)


def test_an_own_loss_has_the_same_score():
    X = load_digits().data[:200]
    encoder = small(lambda code, x, y: code.z.square().mean()).fit(X)
    assert encoder.score(X) >= 0


def test_too_few_rows_and_weights_are_refused(X):
    encoder = small().fit(X)
    with pytest.raises(ValueError, match="at least 4 rows.*got 3"):
        encoder.score(X[:3])
    with pytest.raises(ValueError, match="sample_weight must be None"):
        encoder.score(X, sample_weight=np.ones(len(X)))


def test_an_unfitted_encoder_has_no_score(X):
    with pytest.raises(NotFittedError):
        small().score(X)


def test_predictions_need_true_targets(X):
    y = load_digits().target[:600]
    with pytest.raises(ValueError, match="needs y"):
        small(InformationBottleneck()).fit(X, y).score(X)


def test_copies_of_unrelated_rows_share_no_information(X):
    encoder = small().fit(X[:400])
    assert encoder.score(X[400:], shuffled=True) < 0.05 < 0.5 < encoder.score(X[400:])


def test_targets_of_other_rows_give_the_accuracy_of_a_guess(X):
    y = load_digits().target[:600]
    encoder = small("ib", max_epochs=20, lr=1e-2).fit(X, y)
    assert encoder.score(X, y, shuffled=True) < 0.2 < 0.9 < encoder.score(X, y)
    with pytest.raises(ValueError, match="inconsistent"):
        encoder.score(X[:500], y, shuffled=True)


def test_the_score_of_few_rows_averages_several_pairs_of_copies(X):
    encoder = small().fit(X)
    drawn = []
    encoder.net_.codes = lambda rows: (
        drawn.append(rows) or type(encoder.net_).codes(encoder.net_, rows)
    )
    encoder.score(X[:100])
    (copies,) = drawn  # one pass
    assert len(copies) == 20 * 100
    assert not copies[:100].equal(copies[200:300])
