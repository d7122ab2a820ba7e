"""Checkpoints: the best is kept, the last is gone on from, and no other training's is taken."""

import logging
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset, DistributedSampler
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.optimizers import WarmupCosineSchedule
from monai.transforms import Randomizable
from monai.utils import set_determinism
from torch import nn

from common.errors import InputError
from common.training import checkpoints
from common.training.checkpoints import (
    TrainingCheckpoint,
    WeightsLoader,
    keep_shipped,
    read_checkpoint,
    save_atomically,
)
from common.training.prefetching import PrefetchingLoader

ITERATIONS_PER_EPOCH = 3
BATCHES = [
    {name: torch.full((2, 1, 2, 2, 2), value + offset) for name, offset in (("image", 0.0), ("label", 0.5))}
    for value in range(ITERATIONS_PER_EPOCH)
]


class Killed(Exception):
    """Stands for whatever ends a process."""


class Training:
    """A trainer of one convolution whose validations give the metrics of a list, one per epoch."""

    def __init__(
        self,
        folder: Path,
        metrics: Sequence[float],
        *,
        width: int = 1,
        kill_at: int | None = None,
        fold: int = 0,
        **options,
    ) -> None:
        torch.manual_seed(0)
        self.metrics, self.kill_at, self.epochs = metrics, kill_at, []
        self.network = nn.Sequential(nn.Conv3d(1, width, 1), nn.Conv3d(width, 1, 1))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        self.scheduler = WarmupCosineSchedule(self.optimizer, warmup_steps=2, t_total=len(metrics))
        self.evaluator = Engine(lambda engine, batch: None)
        self.evaluator.state.key_metric_name = "iou"
        self.evaluator.add_event_handler(Events.EPOCH_COMPLETED, self.measure)
        self.checkpoint = TrainingCheckpoint(
            folder, self.network, self.optimizer, self.scheduler, self.evaluator, identity={"fold": fold}, **options
        )
        self.trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=len(metrics),
            train_data_loader=BATCHES,
            network=self.network,
            optimizer=self.optimizer,
            loss_function=nn.MSELoss(),
            decollate=False,
            train_handlers=[LrScheduleHandler(self.scheduler, print_lr=False), self, self.checkpoint],
        )

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.die)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.evaluator.run([0]))

    def die(self, engine: Engine) -> None:
        if engine.state.iteration == self.kill_at:
            raise Killed("power cut")

    def measure(self, evaluator: Engine) -> None:
        self.epochs.append(self.trainer.state.epoch)
        evaluator.state.metrics["iou"] = self.metrics[self.trainer.state.epoch - 1]

    def run(self) -> "Training":
        self.trainer.run()
        return self

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}


def kill_in_third_epoch(folder: Path, metrics: Sequence[float], **options) -> Training:
    training = Training(folder, metrics, kill_at=2 * ITERATIONS_PER_EPOCH + 2, **options)
    with pytest.raises(Killed, match="power cut"):
        training.run()
    return training


def test_the_best_is_kept_and_not_the_last(tmp_path):
    after_two = Training(tmp_path / "two", [0.1, 0.9]).run().weights()
    training = Training(tmp_path / "four", [0.1, 0.9, 0.5, 0.3]).run()
    kept = torch.load(tmp_path / "four" / "model.pt", weights_only=True)
    torch.testing.assert_close(kept, after_two)
    assert not torch.equal(training.weights()["0.weight"], kept["0.weight"])


def test_without_validation_the_last_is_kept(tmp_path):
    training = Training(tmp_path, [0.1, 0.9, 0.5], keep_last=True).run()
    torch.testing.assert_close(torch.load(tmp_path / "model.pt", weights_only=True), training.weights())


def test_the_average_of_the_weights_is_validated_and_kept(tmp_path):
    validated = []
    training = Training(tmp_path, [0.1, 0.9], ema_decay=0.9)
    training.evaluator.add_event_handler(Events.EPOCH_COMPLETED, lambda: validated.append(training.weights()))
    training.run()
    kept = torch.load(tmp_path / "model.pt", weights_only=True)
    torch.testing.assert_close(kept, validated[-1], rtol=0, atol=0)
    torch.testing.assert_close(kept, dict(training.checkpoint.average.weights()), rtol=0, atol=0)
    assert not torch.equal(training.weights()["0.weight"], kept["0.weight"])
    torch.testing.assert_close(training.weights(), Training(tmp_path / "plain", [0.1, 0.9]).run().weights())


def test_killed_an_average_goes_on_as_if_nothing_had_happened(tmp_path):
    metrics, options = [0.1, 0.2, 0.3, 0.4], {"ema_decay": 0.9, "keep_last": True}
    Training(tmp_path / "whole", metrics, **options).run()
    kill_in_third_epoch(tmp_path / "killed", metrics, **options)
    Training(tmp_path / "killed", metrics, **options).run()
    whole, resumed = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("whole", "killed"))
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


def test_what_a_training_goes_on_from_may_lie_in_a_folder_of_its_own(tmp_path):
    best, state = tmp_path / "best", tmp_path / "state"
    Training(best, [0.1, 0.2], state_dir=state).run()
    assert (best / "model.pt").is_file() and not (best / "resume.pt").exists()
    assert [path.name for path in state.glob("*.pt")] == ["resume.pt"]
    assert Training(best, [0.1, 0.2, 0.3], state_dir=state).run().epochs == [3]


def test_only_the_first_weights_are_kept_as_the_shipped_ones(tmp_path):
    path = tmp_path / "model.pt"
    keep_shipped(path)
    assert list(tmp_path.iterdir()) == []
    for content in (b"shipped", b"trained"):
        path.write_bytes(content)
        keep_shipped(path)
    assert (tmp_path / "model_shipped.pt").read_bytes() == b"shipped" and path.read_bytes() == b"trained"


def test_killed_in_an_epoch_it_goes_on_as_if_nothing_had_happened(tmp_path):
    metrics = [0.1, 0.2, 0.3, 0.4]
    whole = Training(tmp_path / "whole", metrics).run()
    kill_in_third_epoch(tmp_path / "killed", metrics)
    resumed = Training(tmp_path / "killed", metrics)
    nn.init.zeros_(resumed.network[0].weight)  # another process starts elsewhere
    resumed.run()
    assert resumed.epochs == [3, 4]
    torch.testing.assert_close(resumed.weights(), whole.weights(), rtol=0, atol=0)
    assert resumed.scheduler.state_dict() == whole.scheduler.state_dict()
    torch.testing.assert_close(resumed.optimizer.state_dict(), whole.optimizer.state_dict())
    assert resumed.trainer.state.iteration == whole.trainer.state.iteration


def test_a_resumed_training_keeps_a_better_best(tmp_path):
    kill_in_third_epoch(tmp_path, [0.1, 0.9, 0.0])
    best = (tmp_path / "model.pt").read_bytes()
    resumed = Training(tmp_path, [0.1, 0.9, 0.5]).run()
    assert (tmp_path / "model.pt").read_bytes() == best
    assert resumed.checkpoint.progress == {"best_metric": 0.9, "best_epoch": 2, "num_worse": 1}


def test_a_finished_training_says_so_and_does_nothing(tmp_path, caplog):
    Training(tmp_path, [0.1, 0.2]).run()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with caplog.at_level(logging.INFO):
        again = Training(tmp_path, [0.1, 0.2]).run()
    assert "this training has finished" in caplog.text
    assert again.epochs == []
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_finished_training_goes_on_with_more_epochs(tmp_path):
    Training(tmp_path, [0.1, 0.2]).run()
    assert Training(tmp_path, [0.1, 0.2, 0.3]).run().epochs == [3]


def test_more_epochs_stretch_the_schedule(tmp_path):
    Training(tmp_path, [0.1] * 4).run()
    longer = Training(tmp_path, [0.1] * 7).run()  # a cosine rises again after its end, until twice as many
    assert longer.scheduler.get_last_lr() == pytest.approx([0], abs=1e-6)


def test_resume_false_starts_anew(tmp_path):
    Training(tmp_path, [0.1, 0.9]).run()
    anew = Training(tmp_path, [0.3, 0.2], resume=False).run()
    assert anew.epochs == [1, 2]
    assert anew.checkpoint.progress["best_metric"] == 0.3


def test_it_stops_when_nothing_gets_better(tmp_path):
    assert Training(tmp_path, [0.5, 0.4, 0.5, 0.6, 0.7], patience=2).run().epochs == [1, 2, 3]


def test_patience_is_not_lost_before_its_start(tmp_path):
    metrics = [0.5, 0.4, 0.3, 0.2, 0.1, 0.1]
    assert Training(tmp_path, metrics, patience=2, patience_start=3).run().epochs == [1, 2, 3, 4, 5]


def test_patience_counts_across_an_interruption(tmp_path):
    metrics = [0.5, 0.4, 0.4, 0.9]
    kill_in_third_epoch(tmp_path, metrics, patience=2)
    assert Training(tmp_path, metrics, patience=2).run().epochs == [3]


def test_a_training_that_stopped_early_stays_stopped(tmp_path):
    metrics = [0.5, 0.4, 0.9]
    Training(tmp_path, metrics, patience=1).run()
    assert Training(tmp_path, metrics, patience=1).run().epochs == []
    assert Training(tmp_path, metrics, patience=0).run().epochs == [3]


def test_a_metric_that_is_nan_is_not_the_best(tmp_path):
    training = Training(tmp_path, [float("nan"), 0.1, float("nan")]).run()
    assert training.checkpoint.progress["best_epoch"] == 2


def test_only_the_first_process_writes(tmp_path):
    Training(tmp_path, [0.1], is_writer=False).run()
    assert list(tmp_path.iterdir()) == []


def test_another_fold_is_refused(tmp_path):
    Training(tmp_path, [0.1]).run()
    other = Training(tmp_path, [0.1, 0.2], fold=1)
    with pytest.raises(
        InputError, match=r"resume.pt: belongs to a training with .*'fold': 0.* this one has .*'fold': 1"
    ):
        other.run()


def test_another_architecture_is_refused_before_anything_is_loaded(tmp_path):
    Training(tmp_path, [0.1]).run()
    other = Training(tmp_path, [0.1, 0.2], width=3)
    before = other.weights()
    with pytest.raises(InputError, match=r"resume.pt: checkpoint of another architecture: 0.bias is \(1,\) .* \(3,\)"):
        other.run()
    torch.testing.assert_close(other.weights(), before)


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_truncated_resume_file(tmp_path, keep):
    Training(tmp_path, [0.1]).run()
    content = (tmp_path / "resume.pt").read_bytes()
    (tmp_path / "resume.pt").write_bytes(content[:keep])
    with pytest.raises(InputError, match="resume.pt: damaged, or not a PyTorch checkpoint"):
        Training(tmp_path, [0.1, 0.2]).run()


@pytest.mark.parametrize("content", [{"weight": torch.zeros(1)}, [1, 2]])
def test_resume_file_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "resume.pt")
    with pytest.raises(InputError, match="resume.pt: not the state of a training"):
        Training(tmp_path, [0.1]).run()


def test_scale_of_mixed_precision_survives(tmp_path):
    training = Training(tmp_path, [0.1]).run()
    training.trainer.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)  # on CUDA MONAI's trainer makes one
    training.checkpoint.save(training.trainer)
    resumed = Training(tmp_path, [0.1, 0.2])
    resumed.trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    resumed.checkpoint.start(resumed.trainer)
    assert resumed.trainer.scaler.state_dict()["scale"] == 8.0


def test_a_training_may_go_on_on_a_gpu(tmp_path):
    Training(tmp_path, [0.1]).run()  # a CPU's training has no scale
    resumed = Training(tmp_path, [0.1, 0.2])
    resumed.trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    resumed.checkpoint.start(resumed.trainer)
    assert resumed.trainer.scaler.state_dict()["scale"] == 2.0


def load_weights(path, network: nn.Module) -> None:
    engine = Engine(lambda engine, batch: None)
    WeightsLoader(path, network, "cpu").attach(engine)
    engine.run([0])


def test_shipped_weights_are_a_plain_state_dict(tmp_path):
    training = Training(tmp_path, [0.1]).run()
    network = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1))
    load_weights(tmp_path / "model.pt", network)
    torch.testing.assert_close(dict(network.state_dict()), training.weights())


def test_the_word_none_leaves_the_network():
    network = nn.Linear(2, 2)
    before = network.weight.clone()
    load_weights("none", network)
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such checkpoint; train first, or give another --ckpt_path"),
        (b"hello", "damaged, or not a PyTorch checkpoint"),
        ({"model": nn.Linear(2, 2).state_dict()}, "is not a plain state_dict"),
        (nn.Linear(2, 3).state_dict(), r"checkpoint of another architecture: bias is \(3,\) .* in the network"),
        (nn.Bilinear(2, 2, 2).state_dict(), "checkpoint of another architecture: weight is .* in the network"),
    ],
    ids=["missing", "text", "wrapped", "another shape", "another layer"],
)
def test_weights_that_do_not_fit(tmp_path, content, message):
    if isinstance(content, bytes):
        (tmp_path / "model.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match=f"model.pt: {message}"):
        load_weights(tmp_path / "model.pt", nn.Linear(2, 2))


class Noise(Randomizable):
    """A transform with random numbers of its own, beside those of numpy and Python; torch's are for dropout."""

    def __call__(self, value: float) -> dict[str, torch.Tensor]:
        noise = self.R.uniform() + np.random.uniform() + random.random()
        return {"image": torch.full((1, 2, 2, 2), value + noise), "label": torch.full((1, 2, 2, 2), value)}


class RandomTraining(Training):
    """The same on shuffled, noisy items, with dropout."""

    def __init__(self, *args, **options) -> None:
        set_determinism(5)
        super().__init__(*args, **options)
        loader = PrefetchingLoader(
            Dataset([*map(float, range(2 * ITERATIONS_PER_EPOCH))], Noise()), batch_size=2, shuffle=True, num_workers=0
        )
        self.trainer.set_data(loader)
        self.network.insert(1, nn.Dropout(0.3))


@pytest.mark.parametrize("kill_at", [1, 2, 3, 6, 7])
def test_random_numbers_of_a_resumed_training_are_those_of_the_uninterrupted_one(tmp_path, kill_at):
    metrics = [0.1, 0.2, 0.3, 0.4]
    whole = RandomTraining(tmp_path / "whole", metrics).run()
    with pytest.raises(Killed, match="power cut"):
        RandomTraining(tmp_path / "killed", metrics, kill_at=kill_at).run()
    resumed = RandomTraining(tmp_path / "killed", metrics)
    torch.rand(kill_at), np.random.rand(3)  # another process has drawn other numbers before
    resumed.run()
    torch.testing.assert_close(resumed.weights(), whole.weights(), rtol=0, atol=0)
    set_determinism(None)


def test_epochs_differ_in_their_random_numbers_and_so_do_seeds(tmp_path):
    drawn = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        trainer = Engine(lambda engine, batch: drawn.append(float(torch.rand(()))))
        trainer.add_event_handler(Events.EPOCH_STARTED, checkpoints.EpochSeeder())
        trainer.run([0], max_epochs=2)
    assert len(set(drawn)) == 4


def test_a_distributed_sampler_is_told_the_epoch():
    sampler = DistributedSampler(Dataset([*range(8)]), num_replicas=2, rank=0, shuffle=True)
    seen = []
    trainer = Engine(lambda engine, batch: seen.append(batch.tolist()))
    trainer.add_event_handler(Events.EPOCH_STARTED, checkpoints.EpochSeeder())
    trainer.run(DataLoader(Dataset([*range(8)]), batch_size=4, sampler=sampler), max_epochs=2)
    assert seen[0] != seen[1]


def test_a_second_training_into_the_same_folder_is_refused(tmp_path):
    refused = []

    def start_another(engine: Engine) -> None:
        code = f"from common.files import FolderLock; FolderLock({str(tmp_path)!r}, 'a training').acquire()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        refused.append("writes there" in done.stderr)

    training = Training(tmp_path, [0.1, 0.2])
    training.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), start_another)
    training.run()
    assert refused == [True]
    assert not (tmp_path / ".lock").exists()


def test_a_full_disk_leaves_the_old_checkpoint_and_is_told_in_words(tmp_path):
    resource = pytest.importorskip("resource")
    save_atomically({"a": torch.ones(2)}, tmp_path / "model.pt")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(InputError, match=r"model.pt: cannot be written \(File too large\); free some space"):
            save_atomically({"a": torch.ones(1 << 20)}, tmp_path / "model.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=True)["a"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


class Harmful:
    def __reduce__(self):
        return (print, ("code of who made the file",))


def test_a_checkpoint_of_objects_is_not_opened_and_torchs_advice_to_do_so_is_not_passed_on(tmp_path, capsys):
    torch.save({"network": Harmful()}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="damaged, or not a PyTorch checkpoint") as caught:
        read_checkpoint(tmp_path / "model.pt")
    assert "weights_only" not in str(caught.value) and not capsys.readouterr().out
