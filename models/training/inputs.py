"""What the trees see: some of the model's inputs, and three numbers derived from them. The graph (graph.py) computes the same in the same order."""

import numpy as np

from rows import Floats, Rows

USUALS = ["usual_15min", "usual_30min", "usual_60min"]

# The file's input, in this order.
INPUTS = [
    "hour",
    "day_of_week",
    "is_holiday",
    *USUALS,
    "ratio_15min",
    "ratio_60min",
    "ratio_24h",
    "ratio_24h_ago",
    "recent_bookings",
    "recent_usual",
    "rolling_avg_7d",
]
TREE_INPUTS = [name for name in INPUTS if name not in ("usual_15min", "usual_30min", "recent_bookings")]
DERIVED = ["busyness", "shape", "pace"]

# What one more booking can only raise; it touches nothing else of what the trees see. So it never lowers the forecast.
RISING = {"ratio_15min", "ratio_60min", "ratio_24h", "ratio_24h_ago", "rolling_avg_7d", "busyness"}
MONOTONE = [1 if name in RISING else 0 for name in TREE_INPUTS + DERIVED]


def inputs_of(rows: Rows) -> Floats:
    return np.column_stack([rows.column(name) for name in INPUTS])


def derived_of(inputs: Floats) -> list[Floats]:
    """
    busyness: that of `pulse` (models/forecast/pulse.ts); shape: the coming quarter-hour of the coming hour; pace: the coming hour of the last one. In
    float32 throughout, as the graph does.
    """
    column = {name: inputs[:, index] for index, name in enumerate(INPUTS)}
    bookings, usual = column["recent_bookings"], column["recent_usual"]
    k = np.float32(8) * np.sqrt(usual) + np.float32(10)
    drawn = (k + bookings) / (k + usual)
    burst = (bookings - np.float32(3) * np.sqrt(bookings)) / usual
    return [np.maximum(drawn, burst), column["usual_15min"] * np.float32(4) / column["usual_60min"], column["usual_60min"] / usual]


def tree_inputs_of(inputs: Floats) -> Floats:
    return np.column_stack([inputs[:, INPUTS.index(name)] for name in TREE_INPUTS] + derived_of(inputs))
