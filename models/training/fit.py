"""One LightGBM model a horizon: the ratio of the bookings to the usual, weighted by the usual."""

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from inputs import INPUTS, MONOTONE, USUALS, inputs_of, tree_inputs_of
from rows import Rows

SEED = 1
TREES = 120
PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 63,
    "max_bin": 127,
    "min_data_in_leaf": 400,
    "lambda_l2": 10.0,
    "monotone_constraints": MONOTONE,
    "monotone_constraints_method": "basic",
    "seed": SEED,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbose": -1,
}
# Of zones with a smaller usual a share is drawn, so that 200 zones with 3 % of the bookings don't take most of the time; each stands for more.
DRAWN_WHOLE_FROM = 20.0
DRAWN_SHARE_MIN = 0.02

Models = list[lgb.Booster]


def draw(rows: Rows) -> tuple[Rows, npt.NDArray[np.float64]]:
    """A seeded share of the rows, and how many each stands for."""
    share = np.clip(rows.column("usual_60min").astype(np.float64) / DRAWN_WHOLE_FROM, DRAWN_SHARE_MIN, 1)
    drawn = np.random.default_rng(SEED).random(len(rows)) < share
    return rows.where(drawn), 1 / share[drawn]


def fit(rows: Rows, stands_for: npt.NDArray[np.float64]) -> Models:
    seen = tree_inputs_of(inputs_of(rows))
    models = []
    for usual_name in USUALS:
        usual = rows.column(usual_name).astype(np.float64)
        ratio = rows.column(f"times_{usual_name}")
        data = lgb.Dataset(seen, ratio, weight=usual * stands_for, params=PARAMETERS)
        models.append(lgb.train(PARAMETERS, data, TREES))
    return models


def expected(models: Models, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Bookings of the coming 15, 30 and 60 minutes, one column each: usual x ratio."""
    seen = tree_inputs_of(inputs)
    usuals = [inputs[:, INPUTS.index(name)].astype(np.float64) for name in USUALS]
    return np.column_stack([usual * np.maximum(0, model.predict(seen, num_threads=2)) for usual, model in zip(usuals, models)])
