"""Two rounds of federated learning over two clients of one bundle, as federations drive MONAI's `MonaiAlgo`.

Started as a command of its own, from any folder, since a client has not imported the bundle before:
``python -m tests.bundles.federation BUNDLE_ROOT DATASET_DIR DATASET_DIR OUTPUT_DIR OVERRIDES``.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject


def start_client(bundle_root: str, dataset_dir: str, output_dir: Path, overrides: Mapping[str, Any]) -> MonaiAlgo:
    """An initialized client with data and results of its own."""
    own = {**overrides, "dataset_dir": dataset_dir, "output_dir": str(output_dir)}
    client = MonaiAlgo(bundle_root=bundle_root, train_kwargs=dict(own), eval_kwargs=dict(own))
    client.initialize({ExtraItems.CLIENT_NAME: output_dir.name})
    return client


def federate(clients: list[MonaiAlgo], num_rounds: int) -> list[dict[str, Any]]:
    """Train in turns from the mean of all clients' weights; for each round what changed, and a client's metrics."""
    weights = {name: value.cpu().clone() for name, value in clients[0].trainer.network.state_dict().items()}
    rounds = []
    for _ in range(num_rounds):
        changes = []
        for client in clients:
            client.train(ExchangeObject(weights=weights))
            changes.append(client.get_weights().weights)
        means = {
            name: torch.stack([change[name] for change in changes]).double().mean(0).to(value.dtype)
            for name, value in weights.items()
        }
        weights = {name: value + means[name] for name, value in weights.items()}
        client = clients[len(rounds) % len(clients)]  # each evaluates once, the first one between its trainings
        metrics = client.evaluate(ExchangeObject(weights=weights)).metrics
        evaluated = client.evaluator.network.state_dict()
        floats = [name for name, value in weights.items() if value.is_floating_point()]
        rounds.append(
            {
                "largest_changes": [max(float(change[name].abs().max()) for name in floats) for change in changes],
                "clients_differ": any(not torch.equal(changes[0][name], changes[1][name]) for name in floats),
                "evaluates_what_was_sent": all(
                    torch.equal(evaluated[name].cpu(), value) for name, value in weights.items()
                ),
                "metrics": {key: float(value) for key, value in metrics.items()},
            }
        )
    return rounds


def main(bundle_root: str, first_data: str, second_data: str, output_dir: str, overrides: str) -> None:
    given = json.loads(overrides)
    folders = [Path(output_dir, name) for name in ("hospital", "institute")]
    clients = [
        start_client(bundle_root, data, folder, given)
        for data, folder in zip((first_data, second_data), folders, strict=True)
    ]
    rounds = federate(clients, num_rounds=2)
    for client in clients:
        client.finalize()
    Path(output_dir, "rounds.json").write_text(json.dumps(rounds))


if __name__ == "__main__":
    main(*sys.argv[1:])
