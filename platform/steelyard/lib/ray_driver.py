"""An engine on Ray: ``python -m steelyard.lib.ray_driver ENGINE RUN_DIR WORKERS [--gpu]``.

The entry point of a job that ``steelyard.runs.ray_launcher`` submits. It starts the engine in so
many Ray Train workers, on as many hosts as that takes, and ends with them. What driver and workers
print goes to ``process.log`` in the run directory, which all hosts see.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

from steelyard.lib.engine import EXIT_AGAIN

WORKERS = "workers.jsonl"
"""In the run directory, a line for each worker that has begun: rank, node and host."""
SECONDS = 3600
"""How long workers wait for each other, who may be saving a large model."""


def main(arguments: list[str]) -> None:
    engine, folder, workers, *rest = arguments
    with (Path(folder) / "process.log").open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    ray.init()
    on_gpu = "--gpu" in rest and ray.cluster_resources().get("GPU", 0) >= 1
    trainer = TorchTrainer(
        work,
        train_loop_config={"engine": engine, "folder": folder},
        scaling_config=ScalingConfig(num_workers=int(workers), use_gpu=on_gpu),
        # flags and metrics go by the CPU also where gradients go by the GPU
        torch_config=TorchConfig("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout_s=SECONDS),
        run_config=RunConfig(
            name="ray",
            storage_path=str(Path(folder) / "cache"),
            # the supervisor starts again what died
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    trainer.fit()


def work(config: dict[str, Any]) -> None:
    """One worker's part; Ray has said in the environment who it is and made the process group."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    line = {"rank": int(os.environ["RANK"]), "node": node, "host": socket.gethostname()}
    with (Path(config["folder"]) / WORKERS).open("ab") as told:
        told.write(json.dumps(line).encode() + b"\n")
    sys.argv = [config["engine"], config["folder"]]
    try:
        runpy.run_module(config["engine"], run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0, EXIT_AGAIN):
            raise RuntimeError(f"{config['engine']} ended with {end.code}") from end


if __name__ == "__main__":
    # by its full name, so that workers find the same function
    from steelyard.lib import ray_driver

    ray_driver.main(sys.argv[1:])
