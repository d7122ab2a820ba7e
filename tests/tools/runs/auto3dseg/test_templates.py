"""Templates are copies of bundles that Auto3DSeg finds by their names; what cannot be one is refused."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from monai.apps.auto3dseg import BundleGen

from common.errors import InputError
from tests.tools.runs.conftest import touch_files
from tests.tools.sections import toolbox_section
from tools.runs.auto3dseg import commands
from tools.runs.auto3dseg.commands import algo_name, auto3dseg, score_override, template_settings, write_template

ROOT = Path(__file__).parents[4]
BUNDLES = ROOT / "bundles"


@pytest.fixture
def bundle(tmp_path):
    """A bundle of planes without weights, with what runs leave in it."""
    configs = tmp_path / "thin_bundle/configs"
    configs.mkdir(parents=True)
    saver = {"_target_": "MetricsSaver", "metric_details": ["dice"]}
    contents = {
        "metadata": {"toolbox": toolbox_section()},
        "train": {"validate": {"key_metric": {"dice": {}}}},
        "evaluate": {"validate#handlers": [saver]},
        "inference": {"save_probability": False, "datalist": {}},
    }
    for name, content in contents.items():
        (configs / f"{name}.json").write_text(json.dumps(content))
    for name in ("thin_bundle/network.py", "thin_bundle/__pycache__/network.pyc", "output/model.pt"):
        path = tmp_path / "thin_bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return configs.parent


@pytest.mark.parametrize(
    ("name", "score", "result", "spatial_dims"),
    [
        ("devonet_nsn", "iou", "prob", 3),
        ("crypt_unet", "dice", "prob", 2),
        ("swinunet_livecell", "iou", "prob", 2),
        ("maskrcnn_2p5d", "seg", "instances", 3),
        ("sam_myelin", "seg", "fibres", 2),
    ],
)
def test_masks_are_ranked_by_their_key_metric_and_instances_by_seg(name, score, result, spatial_dims):
    settings = template_settings(BUNDLES / name)
    assert (settings["score"], settings["result"], settings["spatial_dims"]) == (score, result, spatial_dims)


def test_seg_chooses_the_epoch_too_where_another_metric_did():
    validate = {"key_metric": {"dice": {"kind": "d"}}, "additional_metrics": {"seg": {"kind": "s"}, "f1": {}}}
    override = score_override({"validate": validate}, "seg")
    assert override["validate#key_metric"] == {"seg": {"kind": "s"}}
    assert override["validate#additional_metrics"] == {"dice": {"kind": "d"}, "f1": {}}
    assert score_override({"validate": validate}, "dice") == {}


def test_a_bundle_that_gives_points_is_refused():
    with pytest.raises(
        InputError, match="devonet_ndn: its probabilities are not those of a mask.*leave this bundle out"
    ):
        template_settings(BUNDLES / "devonet_ndn")


def test_bundlegen_finds_the_algorithm_and_fills_in_fold_and_dataset(bundle, tmp_path):
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    (dataset / "dataset.json").write_text("{}")
    source = tmp_path / "input.yaml"
    source.write_text(yaml.safe_dump({"dataroot": str(dataset), "datalist": str(dataset / "dataset.json")}))
    stats = tmp_path / "datastats.yaml"
    stats.write_text(yaml.safe_dump({"stats_summary": {"image_stats": {"shape": {"max": [9, 8]}}}}))
    auto3dseg(str(tmp_path / "templates"), str(bundle))
    generator = BundleGen(
        algo_path=str(tmp_path / "work"),
        templates_path_or_url=str(tmp_path / "templates"),
        data_stats_filename=str(stats),
        data_src_cfg_name=str(source),
    )
    generator.generate(str(tmp_path / "work"), num_fold=2)
    algos = [entry["algo_instance"] for entry in generator.get_history()]
    assert [(type(algo).__name__, Path(algo.output_path).name) for algo in algos] == [
        ("ThinbundleAlgo", "thinbundle_0"),
        ("ThinbundleAlgo", "thinbundle_1"),
    ]
    settings = yaml.safe_load(Path(algos[1].output_path, "configs/hyper_parameters.yaml").read_text())
    assert (settings["fold"], settings["dataset_dir"]) == (1, str(dataset))
    algos[1].export_to_disk(str(tmp_path / "search"), "thinbundle_1_lr")  # as a search of hyper-parameters does
    settings = yaml.safe_load((tmp_path / "search/thinbundle_1_lr/configs/hyper_parameters.yaml").read_text())
    assert settings["fold"] == 1


def test_a_template_holds_the_bundle_and_not_what_runs_left_in_it(bundle, tmp_path):
    template = write_template(bundle, tmp_path)
    assert template.name == algo_name(bundle) == "thinbundle"
    files = {path.relative_to(template).as_posix() for path in template.rglob("*") if path.is_file()}
    scripts = {f"scripts/{name}.py" for name in ("__init__", "algo", "infer")}
    configs = {f"configs/{name}.json" for name in ("metadata", "train", "evaluate", "inference")}
    assert files == {"thin_bundle/network.py", "configs/hyper_parameters.yaml", *scripts, *configs}


def test_an_interrupted_template_leaves_nothing(bundle, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "_write_scripts", stop)
    (tmp_path / "templates").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_template(bundle, tmp_path / "templates")
    assert list((tmp_path / "templates").iterdir()) == []


class TestBadInput:
    def test_a_template_that_exists_is_kept(self, bundle, tmp_path):
        auto3dseg(str(tmp_path / "templates"), str(bundle))
        with pytest.raises(InputError, match="thinbundle: exists already; delete it"):
            auto3dseg(str(tmp_path / "templates"), str(bundle))

    def test_an_unknown_bundle_writes_nothing(self, tmp_path):
        with pytest.raises(InputError, match="neither a bundle's name"):
            auto3dseg(str(tmp_path / "templates"), "devonet_nsm")
        assert not (tmp_path / "templates").exists()

    def test_a_dataset_without_folds_writes_nothing(self, bundle, tmp_path):
        (tmp_path / "dataset").mkdir()
        (tmp_path / "dataset/dataset.json").write_text(json.dumps({"training": []}))
        with pytest.raises(InputError, match="labelled images of 0 folds"):
            auto3dseg(str(tmp_path / "templates"), str(bundle), dataset_dir=str(tmp_path / "dataset"))
        assert not (tmp_path / "templates").exists()

    def test_a_work_dir_needs_a_dataset(self, bundle, tmp_path):
        with pytest.raises(InputError, match="--work_dir without --dataset_dir"):
            auto3dseg(str(tmp_path / "templates"), str(bundle), work_dir="work")

    def test_a_work_dir_that_is_in_use_is_kept(self, bundle, tmp_path):
        shutil.copytree(bundle, tmp_path / "dataset")
        items = [{"image": f"{fold}.png", "label": f"{fold}.png", "fold": fold} for fold in (0, 1)]
        (tmp_path / "dataset/dataset.json").write_text(json.dumps({"training": items}))
        touch_files(tmp_path / "dataset")
        (tmp_path / "input.yaml").write_text("")
        options = {"dataset_dir": str(tmp_path / "dataset"), "work_dir": str(tmp_path)}
        with pytest.raises(InputError, match="holds an input.yaml of Auto3DSeg already"):
            auto3dseg(str(tmp_path / "templates"), str(bundle), **options)
        assert not (tmp_path / "templates").exists()
