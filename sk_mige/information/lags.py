"""Past and present values of series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_mige._sizes import as_size

# Smallest number of time points after the lag.
FEWEST_ROWS = 10


def check_lag(lag: int, n_times: int) -> None:
    """Raise ValueError unless ``lag`` is positive and leaves enough time points."""
    as_size("lag", lag)
    if n_times - lag < FEWEST_ROWS:
        raise ValueError(
            f"source and target have {n_times} time points, of which lag={lag} leaves "
            f"{max(0, n_times - lag)}; at least {FEWEST_ROWS} must remain: use a smaller "
            "lag, or pass longer series"
        )


def past_and_present(series: NDArray[Any], lag: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return past values (n - lag, lag * d), the latest first, and present values (n - lag, d)."""
    n = len(series)
    past = np.concatenate([series[lag - k : n - k] for k in range(1, lag + 1)], axis=1)
    return past, series[lag:]
