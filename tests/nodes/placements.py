"""Tune callback: on which node each trial reported from, a line of JSON each. For HAMNER_CALLBACKS of a driver."""

import json
import os
from pathlib import Path

from ray.tune import Callback

FILE = "PLACEMENTS"  # environment variable: where the lines go


class Placements(Callback):
    """Writes a line for every result."""

    def on_trial_result(self, iteration, trials, trial, result, **info):
        row = trial.config["row"]
        line = {"address": result["node_ip"], "contestant": row["contestant"], "seed": row["seed"]}
        with Path(os.environ[FILE]).open("a") as file:
            file.write(json.dumps(line) + "\n")
