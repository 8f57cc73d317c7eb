"""
What a bottleneck forgets
=========================

The information bottleneck predicts y from z and pays β for every nat that z keeps about x. A
larger β makes images of one digit share one place; far too large a one makes all of them share
it.
"""

# %%
# The representation has two dimensions, so that it can be looked at.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_mige import MIGEEncoder

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.4, random_state=0)
betas = [1e-3, 0.1, 0.3, 1.0]

fig, axes = plt.subplots(2, 2, figsize=(9, 8), layout="constrained")
for ax, beta in zip(axes.flat, betas, strict=True):
    model = MIGEEncoder(n_components=2, mode="ib", beta=beta, max_epochs=40, random_state=0)
    model.fit(X_train, y_train)
    Z = model.transform(X_test)
    points = ax.scatter(*Z.T, c=y_test, cmap="tab10", s=8)
    ax.set(title=f"β = {beta:g}: accuracy {model.score(X_test, y_test):.1%}")
fig.colorbar(points, ax=axes, ticks=range(10), label="digit", shrink=0.6)
plt.show()
