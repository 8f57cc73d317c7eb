"""
A first notebook
================

From handwritten digits to a representation, without a label: the first thing to try. The links at
the end of the page download it as a notebook.
"""

# %%
# An encoder is a transformer of scikit-learn: it goes where ``PCA`` goes. In a notebook an
# estimator shows itself, with its parameters and what they stand at.

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
# The pipeline hands y to each of its steps, but the encoder has no use for it in this mode: the
# logistic regression alone learns from the labels. ``verbose=1`` would show a bar with the time
# that is left.

model.fit(X_train, y_train)
print(f"accuracy on unseen digits: {model.score(X_test, y_test):.3f}")

# %%
# What training recorded, as a table. The loss is a surrogate: its gradient is that of the
# information, its value is not (:doc:`/guide/mi_gradients`).

history = pd.DataFrame(model["migeencoder"].history_).set_index("epoch")
history.tail(3)

# %%
# Pictures take fitted estimators, pipelines or searches, and draw on axes of yours.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
TrainingCurveDisplay.from_estimator(model, ax=left)
Z = model[:-1].transform(X_test)
RepresentationDisplay.from_predictions(Z, y_test, ax=right)
right.set_title("the first two of sixteen components")
plt.show()

# %%
# Where next: :doc:`/guide/infomax` on what is maximised, :doc:`/guide/bottleneck` on encoders that
# learn from labels, :doc:`/guide/choosing` on which parameters matter.
