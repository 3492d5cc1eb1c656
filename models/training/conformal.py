"""Half widths of the 80 % interval by size class, from forecasts of weeks that their model has not seen (models/forecast/interval.ts)."""

import numpy as np
import numpy.typing as npt

from fit import expected, fit
from inputs import inputs_of
from rows import Rows

SIZE_EDGES = [0.3, 1, 3, 10, 30, 100, 200, 400]
COVERAGE = 0.8
UNKNOWN_SHARE = 0.08
FOLDS = 4
QUARTERS_A_WEEK = 672
# A class with fewer forecasts than this takes the number of the class below.
SAMPLES_MIN = 500

Doubles = npt.NDArray[np.float64]


def needed(said: Doubles, came: Doubles) -> Doubles:
    """The half width, in units of spread, at which the interval, rounded outwards to whole bookings, reaches what came."""
    spread = np.sqrt(said + (UNKNOWN_SHARE * said) ** 2)
    return np.maximum(0, np.abs(came - said) - 1) / np.maximum(spread, 1e-9)


def quantile(values: Doubles, weights: Doubles) -> float:
    """The least value that `COVERAGE` of the weight, and one more, does not pass; three decimals, rounded up."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    index = int(np.searchsorted(reached, COVERAGE * (reached[-1] + weights.max())))
    return float(np.ceil(values[order][min(index, len(values) - 1)] * 1000 + 1e-6) / 1000)


def tables(said: Doubles, came: Doubles, weights: Doubles) -> list[list[float]]:
    result = []
    for horizon in range(3):
        classes = np.searchsorted(SIZE_EDGES, said[:, horizon], side="right")
        table: list[float] = []
        for size in range(len(SIZE_EDGES) + 1):
            of = classes == size
            enough = of.sum() >= SAMPLES_MIN
            table.append(quantile(needed(said[of, horizon], came[of, horizon]), weights[of]) if enough else (table[-1] if table else 0.0))
        result.append(table)
    return result


def cross_fitted(rows: Rows, stands_for: Doubles) -> list[list[float]]:
    """Every fourth week is forecast by models fitted to the others."""
    inputs = inputs_of(rows)
    fold = rows.quarters() // QUARTERS_A_WEEK % FOLDS
    said = np.zeros((len(rows), 3))
    for each in range(FOLDS):
        held = fold == each
        said[held] = expected(fit(rows.where(~held), stands_for[~held]), inputs[held])
    came = np.column_stack([rows.column(f"bookings_{minutes}min") for minutes in (15, 30, 60)]).astype(np.float64)
    return tables(said, came, stands_for)
