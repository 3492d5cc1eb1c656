"""The data set that infra/training/dataset.ts writes: rows.f32 and rows.json."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

QUARTERS_AN_HOUR = 4
HISTORY_DAYS_MIN = 28

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Rows by column name, and the header's words about them."""

    values: Floats
    columns: dict[str, int]
    header: dict

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> Floats:
        return self.values[:, self.columns[name]]

    def where(self, mask: npt.NDArray) -> "Rows":
        return Rows(np.ascontiguousarray(self.values[mask]), self.columns, self.header)

    def quarters(self) -> npt.NDArray[np.int64]:
        """Event time, quarter-hours since 1970."""
        return self.column("quarter").astype(np.int64)


def read_rows(directory: Path) -> Rows:
    header = json.loads((directory / "rows.json").read_text())
    names = header["columns"]
    values = np.memmap(directory / "rows.f32", dtype=header["dtype"], mode="r", shape=(header["rows"], len(names)))
    return Rows(values, {name: index for index, name in enumerate(names)}, header)


def quarter_of(date: str, header: dict) -> int:
    """The quarter-hour since 1970 in which this local date begins."""
    return int(datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(header["time_zone"])).timestamp()) // header["quarter_seconds"]


def training_rows(rows: Rows, until: int) -> Rows:
    """
    Whole hours, with four weeks behind them, whose coming hour is over by `until`. Rows inside an hour are left out: the counts are spread evenly over
    their hour, so that the minutes behind such a row tell the rest of the hour as no city's would (README.md says what that costs and gains).
    """
    quarters = rows.quarters()
    return rows.where((quarters % QUARTERS_AN_HOUR == 0) & (quarters + QUARTERS_AN_HOUR <= until) & (rows.column("history_days") >= HISTORY_DAYS_MIN))
