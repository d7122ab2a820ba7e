"""MONAI's files of metrics list an image once, however many processes have scored it."""

import csv

import pytest
import torch
from ignite.engine import Engine, Events
from monai.metrics import MeanIoU

from common.metrics.saving import CaseMetricsSaver
from tests.processes import run_on_two
from tools.card.evaluation import read_metric

TWO_PROCESSES = """
import sys
import torch
from common.training.processes import join_processes, validation_sampler
from tests.common.metrics.test_saving import evaluate
join_processes(torch.device("cpu"))
names = sys.argv[2:]
share = validation_sampler(names)
evaluate(sys.argv[1], names if share is None else [names[index] for index in share])
torch.distributed.destroy_process_group()
"""


def evaluate(folder, names):
    """An evaluation that gives an image an IoU of 1 where its name is in capitals, else of 0."""
    metric, saver = MeanIoU(), CaseMetricsSaver(str(folder), ["iou"], ["iou"], lambda batch: batch)

    def compute(engine):
        engine.state.metrics["iou"] = float(metric.aggregate())
        engine.state.metric_details = {"iou": metric.get_buffer(), "other": None}

    def step(engine, name):
        engine.state.batch = [{"filename_or_obj": name}]
        metric(torch.full((1, 1, 2, 2), float(name.isupper())), torch.ones(1, 1, 2, 2))

    engine = Engine(step)
    engine.add_event_handler(Events.EPOCH_COMPLETED, compute)
    saver.attach(engine)
    engine.run(names)


def scores_in(folder):
    with (folder / "iou_raw.csv").open() as file:
        return [(row["filename"], float(row["class0"])) for row in csv.DictReader(file)]


def test_image_that_was_scored_twice_stands_once_with_its_own_score(tmp_path):
    evaluate(tmp_path, ["b", "A", "b", "C", "A"])
    assert scores_in(tmp_path) == [("b", 0), ("A", 1), ("C", 1)]
    evaluate(tmp_path, ["=A()", "-b.tif"])
    assert [name for name, _ in scores_in(tmp_path)] == ["'=A()", "'-b.tif"], "a spreadsheet would compute them"
    assert list(read_metric(tmp_path, "iou")) == ["=A()", "-b.tif"]
    assert "other_raw.csv" not in [path.name for path in tmp_path.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize("names", [["A"], ["A", "b", "C"]], ids=["fewer images than processes", "more"])
def test_two_processes_leave_one_row_for_an_image(tmp_path, names):
    (tmp_path / "evaluation.py").write_text(TWO_PROCESSES)
    run_on_two("evaluation", tmp_path, *names, cwd=tmp_path)
    assert sorted(scores_in(tmp_path)) == [(name, float(name.isupper())) for name in sorted(names)]
