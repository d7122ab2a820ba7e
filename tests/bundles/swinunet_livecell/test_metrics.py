"""The evaluation tells the scores of each cell type apart, by MONAI's own metrics."""

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, MetricsSaver, from_engine
from monai.metrics import DiceMetric, MeanIoU
from swinunet_livecell.metrics import CellTypeTable, to_masks

from tests.tables import read_records

IMAGES = {
    # name: predicted, truth, cell type; IoU 1/2, 1/3, 1 (empty against empty), 0
    "a": ([1, 1, 0, 0], [1, 0, 0, 0], "A172"),
    "b": ([1, 1, 0, 0], [0, 1, 1, 0], "SKOV3"),
    "c": ([0, 0, 0, 0], [0, 0, 0, 0], "SKOV3"),
    "d": ([1, 0, 0, 0], [0, 0, 0, 0], "SKOV3"),
}


def evaluate(tmp_path, items, batch_size, epochs=1):
    """An evaluation as evaluate.json sets it up; the network is the identity."""
    metrics = {"iou": MeanIoU(ignore_empty=False), "dice": DiceMetric(ignore_empty=False)}
    metrics = {
        name: IgniteMetricHandler(metric, output_transform=from_engine(["pred", "label"]))
        for name, metric in metrics.items()
    }
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items), batch_size=batch_size),
        network=torch.nn.Identity(),
        key_val_metric={"iou": metrics["iou"]},
        additional_metrics={"dice": metrics["dice"]},
        val_handlers=[
            MetricsSaver(str(tmp_path), metrics="*", metric_details="*", batch_transform=lambda batch: batch),
            CellTypeTable(tmp_path, ["iou", "dice"]),
        ],
    )
    for _ in range(epochs):
        evaluator.run()
    return read_records(tmp_path / "per_cell_type.csv")


def to_items():
    items = []
    for name, (mask, truth, cell_type) in IMAGES.items():
        item = {"image": torch.tensor([[mask]]).float(), "label": torch.tensor([[truth]]), "filename_or_obj": name}
        items.append(item | {"cell_type": cell_type})
    return items


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("epochs", [1, 2])
def test_table_has_a_row_per_cell_type(tmp_path, batch_size, epochs):
    rows = evaluate(tmp_path, to_items(), batch_size, epochs)
    assert [(row["cell_type"], row["n"]) for row in rows] == [("A172", "1"), ("SKOV3", "3"), ("all", "4")]
    assert [float(row["iou_mean"]) for row in rows] == pytest.approx([1 / 2, 4 / 9, 11 / 24])
    assert [float(row["dice_mean"]) for row in rows] == pytest.approx([2 / 3, 1.5 / 3, (2 / 3 + 1.5) / 4])


def test_masks_are_those_of_the_first_channel_and_of_all_cells():
    prediction = torch.tensor([[[0.2, 0.4, 0.9]], [[1.0, 1.0, 1.0]]])
    for truth in ([[[0, 3, 70000]]], [[[-1.0, 1.0, 1.0]], [[1.0, 0.5, 0.0]]]):
        predicted, true = to_masks([{"pred": prediction, "label": torch.tensor(truth)}] * 2, threshold=0.4)
        assert [mask.tolist() for mask in predicted] == [[[[0, 1, 1]]]] * 2
        assert [mask.tolist() for mask in true] == [[[[0, 1, 1]]]] * 2
        assert predicted[0].dtype == true[0].dtype == torch.uint8
