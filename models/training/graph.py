"""The ONNX file, by hand: inputs -> derived numbers -> one tree ensemble of three targets -> usual x ratio."""

import lightgbm as lgb
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inputs import INPUTS, TREE_INPUTS, USUALS

OUTPUTS = ["expected_15min", "expected_30min", "expected_60min"]
# What onnxruntime-web reads and every other runtime too.
OPSETS = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
IR_VERSION = 8


def float32_below(threshold: float) -> float:
    """The greatest float32 not above a double: for every float32 x, x <= threshold says the same of both."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))


class Ensemble:
    """Attributes of a TreeEnsembleRegressor, filled tree by tree."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int, int, str, float, int, int]] = []
        self.leaves: list[tuple[int, int, int, float]] = []
        self.trees = 0

    def add(self, tree: dict, target: int) -> None:
        numbers = iter(range(1 << 20))
        self._node(tree["tree_structure"], target, numbers)
        self.trees += 1

    def _node(self, node: dict, target: int, numbers) -> int:
        number = next(numbers)
        if "leaf_value" in node:
            self.nodes.append((self.trees, number, 0, "LEAF", 0.0, 0, 0))
            self.leaves.append((self.trees, number, target, float(np.float32(node["leaf_value"]))))
            return number
        assert node["decision_type"] == "<=" and node["missing_type"] == "None", f"Cannot write a node like {node}"
        at = len(self.nodes)
        self.nodes.append((0, 0, 0, "", 0.0, 0, 0))
        left = self._node(node["left_child"], target, numbers)
        right = self._node(node["right_child"], target, numbers)
        self.nodes[at] = (self.trees, number, node["split_feature"], "BRANCH_LEQ", float32_below(node["threshold"]), left, right)
        return number

    def node(self, source: str, result: str) -> onnx.NodeProto:
        trees, numbers, features, modes, values, left, right = map(list, zip(*self.nodes))
        of, leaf, targets, weights = map(list, zip(*self.leaves))
        return helper.make_node(
            "TreeEnsembleRegressor",
            [source],
            [result],
            domain="ai.onnx.ml",
            n_targets=3,
            aggregate_function="SUM",
            post_transform="NONE",
            nodes_treeids=trees,
            nodes_nodeids=numbers,
            nodes_featureids=features,
            nodes_modes=modes,
            nodes_values=values,
            nodes_truenodeids=left,
            nodes_falsenodeids=right,
            target_treeids=of,
            target_nodeids=leaf,
            target_ids=targets,
            target_weights=weights,
        )


def ensemble(models: list[lgb.Booster]) -> Ensemble:
    result = Ensemble()
    for target, model in enumerate(models):
        for tree in model.dump_model()["tree_info"]:
            result.add(tree, target)
    return result


def constant(name: str, value) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def columns(name: str, features: list[str]) -> tuple[onnx.TensorProto, onnx.NodeProto]:
    """Takes columns of the input by their names."""
    indices = constant(f"{name}_columns", np.array([INPUTS.index(feature) for feature in features], dtype=np.int64))
    return indices, helper.make_node("Gather", ["features", indices.name], [name], axis=1)


def build(models: list[lgb.Booster], name: str) -> bytes:
    taken = [
        columns("seen", TREE_INPUTS),
        columns("usuals", USUALS),
        columns("bookings", ["recent_bookings"]),
        columns("usual", ["recent_usual"]),
        columns("usual_15min", ["usual_15min"]),
        columns("usual_60min", ["usual_60min"]),
    ]
    numbers = [constant(word, np.array(value, dtype=np.float32)) for word, value in (("three", 3), ("four", 4), ("eight", 8), ("ten", 10))]
    node = helper.make_node
    nodes = [gather for _, gather in taken] + [
        node("Sqrt", ["usual"], ["usual_root"]),
        node("Mul", ["eight", "usual_root"], ["k_grown"]),
        node("Add", ["k_grown", "ten"], ["k"]),
        node("Add", ["k", "bookings"], ["k_bookings"]),
        node("Add", ["k", "usual"], ["k_usual"]),
        node("Div", ["k_bookings", "k_usual"], ["drawn"]),
        node("Sqrt", ["bookings"], ["bookings_root"]),
        node("Mul", ["three", "bookings_root"], ["sigma"]),
        node("Sub", ["bookings", "sigma"], ["beyond_chance"]),
        node("Div", ["beyond_chance", "usual"], ["burst"]),
        node("Max", ["drawn", "burst"], ["busyness"]),
        node("Mul", ["usual_15min", "four"], ["usual_15min_hourly"]),
        node("Div", ["usual_15min_hourly", "usual_60min"], ["shape"]),
        node("Div", ["usual_60min", "usual"], ["pace"]),
        node("Concat", ["seen", "busyness", "shape", "pace"], ["trees_see"], axis=1),
        ensemble(models).node("trees_see", "ratios_raw"),
        node("Relu", ["ratios_raw"], ["ratios"]),
        node("Mul", ["usuals", "ratios"], ["expected"]),
        node("Split", ["expected"], OUTPUTS, axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(INPUTS)])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["rows", 1]) for output in OUTPUTS],
        [indices for indices, _ in taken] + numbers,
    )
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION, producer_name="surgecast")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
