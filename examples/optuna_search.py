"""Optuna drives jobs of Rappel, with a pruner that stops those that lag behind.

    pip install optuna
    npx rappel submit examples/iris-adamw.json --data examples/iris.csv    # uploads the table
    python examples/optuna_search.py ds_…                # the id that `npx rappel datasets` shows

A study of Rappel's own (docs/search.md) needs no such program, and gives the same trials whenever
it is run. This is for those who have their samplers and storages in Optuna.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

import optuna

URL = os.environ.get("RAPPEL_API_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("RAPPEL_API_KEY")
ENDED = ("succeeded", "failed", "cancelled")


def call(method, path, body=None):
    headers = {"content-type": "application/json"} if body is not None else {}
    if KEY:
        headers["authorization"] = f"Bearer {KEY}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def cancel(job):
    try:
        call("POST", f"/v1/jobs/{job}/cancel")
    except urllib.error.HTTPError as error:
        # It has ended meanwhile.
        if error.code != 409:
            raise


def spec(trial, dataset):
    optimizer = {
        "type": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
        "lr": trial.suggest_float("lr", 1e-4, 1.0, log=True),
    }
    width = trial.suggest_int("width", 4, 64)
    return {
        "data": {"dataset": dataset, "target": "target", "validation": {"every": 4}},
        "model": {"layers": [{"type": "linear", "out_features": width}, {"type": "tanh"}, {"type": "linear"}]},
        "loss": {"type": "cross_entropy"},
        "optimizer": optimizer,
        "training": {"epochs": 200, "batch_size": 16},
        "metadata": {"optuna_trial": str(trial.number)},
    }


def objective(trial, dataset):
    job = call("POST", "/v1/jobs", spec(trial, dataset))
    epoch = 0
    while job["status"] not in ENDED:
        progress = call("GET", f"/v1/jobs/{job['id']}/progress")
        if progress["epoch"] > epoch and progress["valid_loss"] is not None:
            epoch = progress["epoch"]
            trial.report(progress["valid_loss"], epoch)
            if trial.should_prune():
                cancel(job["id"])
                raise optuna.TrialPruned()
        time.sleep(0.05)
        job["status"] = progress["status"]
    result = call("GET", f"/v1/jobs/{job['id']}")["result"]
    # A job that diverged is the worst that there is.
    return float("inf") if result is None else result["metrics"]["valid_loss"]


if __name__ == "__main__":
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_warmup_steps=10))
    study.optimize(lambda trial: objective(trial, sys.argv[1]), n_trials=20, n_jobs=4)
    print(study.best_value, study.best_params)
