"""Ray Tune trial of the concept experiments: open one arm, advance it, report it. What a run does: concept_training.py.

It is the league's trial (trial.py) with another training: locks, stops, failures and reports are those of a league.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hamner.config.schema import Config
from hamner.runs.files import read_json
from hamner.training import checkpoint
from tournament.concept_arms import Arm, arms_of
from tournament.concept_base import FOLDER
from tournament.concept_training import ConceptTraining
from tournament.entrants import Contestant
from tournament.trial import Trial


class ConceptTrial(Trial):
    """config: as Trial's; its round is always the first."""

    def read_contestants(self, league: Path, config: Config) -> Mapping[str, Contestant]:
        document = read_json(league / "config.json")
        self._arms = {arm.name: arm for arm in arms_of(tuple(document["suites"]))}
        return contestants(tuple(self._arms.values()), config, checkpoint.load(league / FOLDER), document["seeds"])

    def _train(self) -> dict[str, Any]:
        if self._training is None:
            self._training = cast(Any, self._open_arm())
        training = cast(ConceptTraining, self._training)
        if not training.advance():
            return {"round_done": False}
        result = training.result()
        return {"round_done": True, "outcome": json.dumps(result), "heldout_loss": result["heldout_loss"]}

    def _open_arm(self) -> ConceptTraining:
        row, config = self._row, self._config
        rate = row["learning_rate"] * config.lr_scale
        arm = self._arms[self._name]
        return ConceptTraining(config, self._league, self._folder, arm, int(row["seed"]), rate, int(row["attempt"]))


def contestants(
    arms: tuple[Arm, ...], config: Config, base: checkpoint.Checkpoint, seeds: int
) -> dict[str, Contestant]:
    """The arms as the runner knows them: all of the base's model. The base itself is tested once."""
    model = base.model.model_copy(update={"document_mask": True})  # as it is trained: items of a row stay apart
    return {
        arm.name: Contestant(
            model,
            tuple(range(seeds)) if arm.stages else (0,),
            arm.learning_rate(config),
            arm.parameter_groups(model.num_layers),
        )
        for arm in arms
    }
