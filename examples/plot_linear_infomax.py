"""
Linear InfoMax in a training loop
=================================

A PyTorch loop trains the linear encoder z = w·x + noise, with a unit vector w, by the estimated
gradient of I(x; z).
"""

# %%
# For Gaussian x, I(x; z) is largest if w is the first principal component of x (Linsker, 1988). The
# noise does not depend on w, so H(z | x) is constant. The gradient of I(x; z) therefore equals the
# gradient of the entropy H(z).

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import PCA

from sk_mige.datasets import make_gaussian
from sk_mige.information import entropy_surrogate

angle = np.deg2rad(35)
rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
covariance = rotation @ np.diag([2.0, 0.3]) @ rotation.T
X, _ = make_gaussian(2000, mean=[0.0, 0.0], covariance=covariance, random_state=0)
x = torch.as_tensor(X)

generator = torch.Generator().manual_seed(0)
w = torch.tensor([0.2, -1.0], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.Adam([w], lr=0.05)
directions = []

for _ in range(80):
    batch = x[torch.randint(len(x), (128,), generator=generator)]
    noise = 0.3 * torch.randn(128, 1, generator=generator, dtype=x.dtype)
    direction = w / w.norm()
    z = batch @ direction[:, None] + noise
    optimizer.zero_grad()
    (-entropy_surrogate(z)).backward()
    optimizer.step()
    directions.append(direction.detach().numpy().copy())

# %%
# The left panel shows the samples and the direction w during training, from light to dark. The
# right panel shows the angle between w and the first principal component.

principal = PCA(n_components=1, random_state=0).fit(X).components_[0]
angles = np.rad2deg(np.arccos(np.abs(np.array(directions) @ principal).clip(max=1)))

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.scatter(*X.T, s=3, color="0.8")
left.axline((0, 0), principal, color="k", linestyle="--", label="principal component")
for step in range(0, 80, 8):
    left.plot(*np.outer([0, 2.5], directions[step]).T, color=plt.cm.Blues(0.2 + 0.8 * step / 80))
left.set(aspect="equal", xlim=(-4.5, 4.5), ylim=(-4, 4))
left.legend(frameon=False, loc="upper left")
right.plot(angles)
right.set(xlabel="step", ylabel="angle to the principal component (degrees)", ylim=(0, None))
plt.show()
