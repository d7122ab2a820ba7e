"""Two sites train a bundle together for two rounds in NVFlare's simulator, each on data of its own.

Run in an environment with `nvflare` and `monai-nvflare` by ``.ci/consumers``:
``python nvflare_simulation.py BUNDLE_ROOT DATASET_DIR DATASET_DIR WORK_DIR OVERRIDES``. It ends with an error
unless both sites trained in both rounds and the server averaged what they sent.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

NUM_ROUNDS = 2
SITES = ("site-1", "site-2")
COMMON = "nvflare.app_common"


def write_job(job: Path, bundle: Path, data: dict[str, str], results: Path, overrides: dict[str, Any]) -> None:
    """An app for the server and one for each site; NVFlare imports what lies in an app's ``custom`` folder."""
    apps = {"server": "app_server", **{site: f"app_{site}" for site in data}}
    for app in apps.values():
        shutil.copytree(bundle, job / app / "custom", ignore=shutil.ignore_patterns("__pycache__", "output"))
        (job / app / "config").mkdir()
    meta = {"name": bundle.name, "min_clients": len(data), "deploy_map": {app: [of] for of, app in apps.items()}}
    (job / "meta.json").write_text(json.dumps(meta))
    server = {
        "format_version": 2,
        "components": [
            {
                "id": "persistor",
                "path": "monai_nvflare.monai_bundle_persistor.MonaiBundlePersistor",
                "args": {"bundle_root": "custom"},
            },
            {
                "id": "shareable_generator",
                "path": f"{COMMON}.shareablegenerators.full_model_shareable_generator.FullModelShareableGenerator",
                "args": {},
            },
            {
                "id": "aggregator",
                "path": f"{COMMON}.aggregators.intime_accumulate_model_aggregator.InTimeAccumulateWeightedAggregator",
                "args": {"expected_data_kind": "WEIGHT_DIFF"},
            },
        ],
        "workflows": [
            {
                "id": "scatter_and_gather",
                "path": f"{COMMON}.workflows.scatter_and_gather.ScatterAndGather",
                "args": {
                    "min_clients": len(data),
                    "num_rounds": NUM_ROUNDS,
                    "wait_time_after_min_received": 0,
                    "aggregator_id": "aggregator",
                    "persistor_id": "persistor",
                    "shareable_generator_id": "shareable_generator",
                    "train_task_name": "train",
                    "train_timeout": 0,
                },
            }
        ],
    }
    (job / apps["server"] / "config/config_fed_server.json").write_text(json.dumps(server))
    for site, dataset_dir in data.items():
        own = {**overrides, "dataset_dir": dataset_dir, "output_dir": str(results / site)}
        algo = {"bundle_root": "custom", "local_epochs": 1, "train_kwargs": own, "eval_kwargs": own}
        executor = {
            "path": "monai_nvflare.client_algo_executor.ClientAlgoExecutor",
            "args": {"client_algo_id": "client_algo", "key_metric": key_metric(bundle)},
        }
        client = {
            "format_version": 2,
            "executors": [{"tasks": ["train", "submit_model", "validate"], "executor": executor}],
            "components": [{"id": "client_algo", "path": "monai.fl.client.MonaiAlgo", "args": algo}],
        }
        (job / apps[site] / "config/config_fed_client.json").write_text(json.dumps(client))


def key_metric(bundle: Path) -> str:
    """The metric that the bundle validates by."""
    return next(iter(json.loads((bundle / "configs/train.json").read_text())["validate"]["key_metric"]))


def main(bundle_root: str, first: str, second: str, work_dir: str, overrides: str) -> None:
    bundle, work = Path(bundle_root).resolve(), Path(work_dir).resolve()
    data = dict(zip(SITES, (str(Path(first).resolve()), str(Path(second).resolve())), strict=True))
    write_job(work / "job", bundle, data, work / "results", json.loads(overrides))
    command = [sys.executable, "-m", "nvflare.private.fed.app.simulator.simulator", str(work / "job")]
    command += ["-w", str(work / "simulation"), "-n", str(len(SITES)), "-t", str(len(SITES)), "-c", ",".join(SITES)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=1800)
    output = done.stdout + done.stderr
    (work / "simulation.log").write_text(output)
    if done.returncode:
        sys.exit(f"the simulator ended with {done.returncode}:\n{output[-3000:]}")
    for site in SITES:
        log = (work / "simulation" / site / "log.txt").read_text()
        rounds = len(re.findall("reported key metric", log))
        if rounds != NUM_ROUNDS:
            sys.exit(f"{site} took part in {rounds} of {NUM_ROUNDS} rounds; see {work / 'simulation'}")
    (averaged,) = (work / "simulation").rglob("FL_global_model.pt")
    weights = torch.load(averaged, weights_only=True)["model"]
    shipped = torch.load(bundle / "models/model.pt", weights_only=True)
    missing = shipped.keys() ^ weights.keys()
    if missing:
        sys.exit(f"{averaged}: not the bundle's network, {len(missing)} names differ, such as {min(missing)}")
    print(f"{bundle.name}: {len(SITES)} sites, {NUM_ROUNDS} rounds, {len(weights)} tensors averaged")


if __name__ == "__main__":
    main(*sys.argv[1:])
