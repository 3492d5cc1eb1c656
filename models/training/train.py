"""Trains a model: rows -> model.onnx, manifest.json (without figures) and golden rows. README.md says how; train.sh is the way to call it."""

import argparse
import hashlib
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

from conformal import cross_fitted
from fit import SEED, Models, draw, expected, fit
from graph import OUTPUTS, build
from inputs import INPUTS, inputs_of
from rows import HISTORY_DAYS_MIN, Floats, Rows, quarter_of, read_rows, training_rows

GOLDEN_ROWS = 1000
MANIFEST_GOLDEN_ROWS = 20
HORIZONS = ["15", "30", "60"]
MODEL_BYTES_MAX = 2_000_000
TOLERANCE = 1e-4


def exact(value: np.float32) -> float | int:
    """The shortest decimal that reads back as this float32; whole numbers as int."""
    number = float(str(np.float32(value)))
    return int(number) if number.is_integer() else number


def domain_of(rows: Rows) -> dict:
    ranges = {name: [exact(rows.column(name).min()), exact(rows.column(name).max())] for name in INPUTS}
    usual = ranges.pop("usual_60min")
    # Within the hour's usual, which is the domain's, these need no limit of their own.
    for name in ("usual_15min", "usual_30min"):
        ranges[name][1] = usual[1]
    return {"history_days_min": HISTORY_DAYS_MIN, "usual_60min": usual, "clip": ranges}


def ratio_max(models: Models) -> float:
    """What no sum of leaves is above."""
    return max(sum(leaf_max(tree["tree_structure"]) for tree in model.dump_model()["tree_info"]) for model in models)


def leaf_max(node: dict) -> float:
    return node["leaf_value"] if "leaf_value" in node else max(leaf_max(node["left_child"]), leaf_max(node["right_child"]))


def manifest_of(rows: Rows, options: argparse.Namespace, models: Models, model: bytes, intervals: list[list[float]], golden: list[dict]) -> dict:
    domain = domain_of(rows)
    return {
        "name": options.name,
        "version": options.version,
        "digest": hashlib.sha256(model).hexdigest(),
        "feature_set": rows.header["feature_set"],
        "inputs": INPUTS,
        "outputs": dict(zip(HORIZONS, OUTPUTS)),
        "domain": domain,
        "output_range": [0, math.ceil(ratio_max(models) * domain["usual_60min"][1])],
        "intervals": dict(zip(HORIZONS, intervals)),
        "figures": {},
        "golden": [{"inputs": row["input"], "outputs": row["expected"]} for row in golden[:: len(golden) // MANIFEST_GOLDEN_ROWS][:MANIFEST_GOLDEN_ROWS]],
        "data": {"source": rows.header["what"], "from": f"{rows.header['spans'][0]['from']}-01", "to": options.to, "rows": len(rows)},
        "code_revision": options.revision,
    }


def golden_rows(rows: Rows, models: Models) -> list[dict]:
    """Rows of all sizes, with what LightGBM says of them."""
    chosen = np.sort(np.random.default_rng(SEED).choice(len(rows), GOLDEN_ROWS, replace=False))
    inputs = inputs_of(rows.where(chosen))
    said = expected(models, inputs)
    return [{"input": [exact(value) for value in row], "expected": [float(f"{value:.7g}") for value in out]} for row, out in zip(inputs, said)]


def golden_text(digest: str, golden: list[dict]) -> str:
    """A row a line: its inputs, then the three outputs."""
    rows = ",\n".join(f"\t\t{json.dumps(row['input'] + row['expected'])}" for row in golden)
    return f'{{\n\t"digest": "{digest}",\n\t"inputs": {json.dumps(INPUTS)},\n\t"rows": [\n{rows}\n\t]\n}}\n'


def difference(model: bytes, models: Models, inputs: Floats) -> float:
    """The greatest |a - b| between the file and LightGBM, in units of what is allowed."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    a = np.column_stack(session.run(OUTPUTS, {"features": inputs}))
    b = expected(models, inputs)
    return float((np.abs(a - b) / (TOLERANCE + TOLERANCE * np.abs(b))).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with rows.f32 and rows.json")
    parser.add_argument("--to", required=True, help="local date, YYYY-MM-DD: nothing from then on is seen")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="demand")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--revision", default="unknown", help="of the code")
    options = parser.parse_args()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    read = read_rows(options.data)
    rows = training_rows(read, quarter_of(options.to, read.header))
    drawn, stands_for = draw(rows)
    say(f"{len(read)} rows, {len(rows)} to learn from, {len(drawn)} drawn")
    models = fit(drawn, stands_for)
    model = build(models, options.name)
    say(f"fitted: {len(model)} bytes")
    apart = difference(model, models, inputs_of(drawn))
    say(f"file and LightGBM differ by {apart:.3f} of what is allowed, on {len(drawn)} rows")
    if apart > 1 or len(model) > MODEL_BYTES_MAX:
        raise SystemExit(f"Cannot release this model: {len(model)} bytes (at most {MODEL_BYTES_MAX}), difference {apart:.3f} (at most 1)")
    intervals = cross_fitted(drawn, stands_for)
    say("intervals cross-fitted")

    (options.out / "model.onnx").write_bytes(model)
    golden = golden_rows(drawn, models)
    manifest = manifest_of(rows, options, models, model, intervals, golden)
    (options.out / "manifest.json").write_text(json.dumps(manifest, indent="\t") + "\n")
    (options.out / "golden-rows.json").write_text(golden_text(manifest["digest"], golden))
    print(f"{options.name}@{options.version} {manifest['digest']} -> {options.out}")


main()
