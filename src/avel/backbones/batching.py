"""Graphs of OpenVINO that are made for one item, remade for several at a time.

A small network is slow on one item: its weights are read anew for each, and take longer than the arithmetic. A large
one is as fast on one, and needs less memory.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from avel.runtimes import openvino


def for_several(model: "openvino.Model", count: int) -> "openvino.Model":
    """The same graph for `count` items.

    Args:
        model: for one item; it is changed. Its only input and all its outputs have a first axis of 1, but that the
            input may be an item as it is, which the graph then gives a first axis of 1. What it computes of an item
            must not mix items once there is such an axis, other than in shapes that it spells out.
        count: how many.

    Raises:
        ValueError: if an output has no place for `count` items.
    """
    from avel.runtimes import openvino

    (given,) = model.get_parameters()
    shape = list(given.get_output_shape(0))
    given.set_partial_shape(openvino.PartialShape([count, *(shape[1:] if shape[0] == 1 else shape)]))
    on_the_way = {given.get_instance_id()}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "ShapeOf":
            continue  # no item: what is computed of shapes follows them by itself
        if not any(value.get_node().get_instance_id() in on_the_way for value in operation.input_values()):
            continue
        on_the_way.add(operation.get_instance_id())
        pattern = operation.input_value(1).get_node() if operation.get_type_name() == "Reshape" else None
        if pattern is not None and pattern.get_type_name() == "Constant":
            wanted = np.array(pattern.get_data())
            if wanted[0] == 1:
                spelled = openvino.opset13.constant(np.concatenate([[count], wanted[1:]]).astype(np.int64))
                operation.input(1).replace_source_output(spelled.output(0))
    model.validate_nodes_and_infer_types()
    for output in model.outputs:
        if not len(output.shape) or output.shape[0] != count:
            raise ValueError(f"{model.friendly_name} cannot be made for {count} items: it gives {list(output.shape)}.")
    return model
