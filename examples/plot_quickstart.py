"""
A first notebook
================

This example learns a representation of handwritten digits without labels. Links at the end of the
page download the example as a notebook.
"""

# %%
# :class:`~sk_mige.MIGEEncoder` is a transformer and can replace ``PCA`` in a pipeline. A notebook
# displays an estimator with its parameters.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sk_mige import MIGEEncoder
from sk_mige.inspection import RepresentationDisplay, TrainingCurveDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = make_pipeline(
    MinMaxScaler(),
    MIGEEncoder(n_components=16, max_epochs=10, random_state=0),
    LogisticRegression(max_iter=2000),
)
model

# %%
# ``fit`` of the pipeline passes y to each step. With the default ``mode="infomax"``, the encoder
# ignores y, and only the logistic regression uses y. ``verbose=1`` shows a progress bar.

model.fit(X_train, y_train)
print(f"accuracy on test digits: {model.score(X_test, y_test):.3f}")

# %%
# ``history_`` has a record for each epoch. The training loss has a meaningful gradient, but no
# meaningful value (:doc:`/guide/mi_gradients`).

history = pd.DataFrame(model["migeencoder"].history_).set_index("epoch")
history.tail(3)

# %%
# The display classes of :mod:`sk_mige.inspection` plot fitted estimators, pipelines or searches.
# The parameter ``ax`` sets the axes of the plot.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
TrainingCurveDisplay.from_estimator(model, ax=left)
Z = model[:-1].transform(X_test)
RepresentationDisplay.from_predictions(Z, y_test, ax=right)
right.set_title("the first two of sixteen components")
plt.show()

# %%
# The user guide describes the objective (:doc:`/guide/infomax`), encoders trained with labels
# (:doc:`/guide/bottleneck`) and the choice of parameters (:doc:`/guide/choosing`).
