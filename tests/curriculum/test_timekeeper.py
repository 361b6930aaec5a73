"""A run within its hours: simulated clocks with noise, stalls and plateaus, and the division among the stages."""

import json
import math
import random
from itertools import pairwise

import pytest

from curriculum.deadline import Deadline
from curriculum.stage_schedule import SHORTEST_DECAY, StageSchedule
from curriculum.stages import Stage
from curriculum.timekeeper import Timekeeper
from hamner.config.schema import Curriculum

MIX = {"tinystories": 1.0}
WEIGHTS = (7000, 7000, 14_000)
EVERY = 20  # steps between two evaluations


class Simulation:
    """Three stages, the last a decay, on a machine whose steps take as long as `pace` and chance say.

    plateau: stage -> share of its steps after which the stopper ends it. kill: seconds after which it stands still, and
    for how long.
    """

    def __init__(self, seconds, step, *, pace=lambda share: 1.0, plateau=(), kill=None, forecast=1.0, seed=0, **config):
        self.now, self.seconds, self.step_seconds, self.pace = 1000.0, seconds, step, pace
        self.random, self.plateau, self.kill = random.Random(seed), dict(plateau), kill
        self.settings = Curriculum(max_steps=15, **config)
        guess = {"step": step, "evaluation": 5 * step, "sample": 9 * step, "opening": 20 * step, "ending": 40 * step}
        self.forecast = {part: forecast * value for part, value in (guess | {"finish": 20 * step}).items()}
        self.keeper = self.new_keeper()

    def new_keeper(self):
        return Timekeeper(
            Deadline(1000.0, 1000.0 + self.seconds),
            WEIGHTS,
            evaluate_every=EVERY,
            sample_every=500,
            forecast=self.forecast,
            clock=lambda: self.now,
        )

    def spend(self, part, steps=1.0):
        taken = steps * self.random.lognormvariate(0, 0.3) + (20 if self.random.random() < 0.001 else 0)  # a stall
        self.now += taken * self.step_seconds * self.pace((self.now - 1000) / self.seconds)
        self.keeper.lap(part)

    def restart(self):
        if self.kill and self.now - 1000 > self.kill[0]:
            state = json.loads(json.dumps(self.keeper.state()))
            self.now, self.kill = self.now + self.kill[1], None
            self.keeper = self.new_keeper()
            assert self.keeper.load_state(state) == pytest.approx(self.now - state["at"])
            self.keeper.lap(None)

    def run(self):
        """Steps and reason of each stage, and the factors of the rate in the last."""
        self.ended, rates, global_step = [], [], 0
        for index in range(len(WEIGHTS)):
            is_last = index == len(WEIGHTS) - 1
            schedule = "linear" if is_last and self.settings.decay == "none" else "constant"
            stage = Stage(name="a", mix=MIX, learning_rate=1.0, schedule=schedule)
            if self.keeper.leaves_out(index):
                continue
            plan = self.keeper.plan(index, 0, global_step)
            end = StageSchedule(stage, self.settings, is_last=is_last, length=plan[0])
            self.spend("opening", 20)
            self.keeper.commit()
            reason, step = None, 0
            while reason is None:
                if is_last:
                    rates.append(end.rate_scale(step))
                step, global_step = step + 1, global_step + 1
                self.spend("step")
                if step % EVERY == 0:
                    self.spend("evaluation", 5)
                end.move_end(step, self.keeper.plan(index, step, global_step)[0])
                stop = "plateau" if step >= self.plateau.get(index, math.inf) * plan[0] else None
                reason = end.after_step(step, stop)
                if reason is None and global_step % 500 == 0:
                    self.spend("sample", 9)
                if reason is None:
                    self.keeper.commit()
                    self.restart()
            self.spend("sample", 9)
            self.spend("ending", 40)
            self.ended.append((step, reason))
        self.spend("finish", 20)
        self.missed = self.keeper.deadline.missed_by(self.now)
        return self.ended, rates


LENGTHS = [(60, 0.01), (600, 0.2), (3 * 3600, 2.0), (100 * 3600, 40.0)]  # seconds of the run, of a step


@pytest.mark.parametrize(("seconds", "step"), LENGTHS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"forecast": 3.0},
        {"forecast": 0.2},
        {"pace": lambda share: 1 + (share > 0.5)},  # another program takes half of the machine
        {"pace": lambda share: 1 + math.sin(20 * share) / 2},
        {"plateau": {0: 0.3}},
        {"decay": "run", "decay_steps": 300},
        {"decay": "run", "decay_steps": 300, "plateau": {1: 0.5, 2: 0.2}},
    ],
)
def test_the_hours_are_kept_within_three_per_cent_and_the_rate_comes_to_nothing(seconds, step, seed, more):
    run = Simulation(seconds, step, seed=seed, **more)
    ended, rates = run.run()
    assert abs(run.missed) < 0.03, (run.missed, ended)
    assert rates[-1] < 0.04 and all(a >= b >= 0 for a, b in pairwise(rates))
    assert ended[0][1] == ("plateau" if 0 in run.plateau else "time")


def test_the_stages_share_the_hours_as_they_were_planned():
    (one, two, decay), _ = Simulation(600, 0.1).run()
    assert two[0] / one[0] == pytest.approx(1, abs=0.05) and decay[0] / one[0] == pytest.approx(2, abs=0.1)
    assert one[0] > 15  # max_steps does not bind


def test_what_a_plateau_leaves_over_goes_to_the_stages_after_it():
    (_, whole, decay), _ = Simulation(600, 0.1).run()
    (_, more, longer), _ = Simulation(600, 0.1, plateau={0: 0.2}).run()
    assert more[0] / whole[0] == pytest.approx(1.25, abs=0.06) and longer[0] / decay[0] == pytest.approx(1.25, abs=0.06)


def test_a_stop_loses_its_time_and_not_the_deadline():
    run = Simulation(600, 0.1, kill=(200.0, 150.0))
    ended, rates = run.run()
    assert abs(run.missed) < 0.03 and rates[-1] < 0.02
    assert sum(steps for steps, _ in ended) < 0.8 * sum(steps for steps, _ in Simulation(600, 0.1).run()[0])


def test_when_the_time_is_over_the_other_stages_are_left_out_and_the_decay_comes_to_its_end():
    ended, rates = Simulation(600, 0.1, kill=(50.0, 1000.0)).run()
    assert [reason for _, reason in ended] == ["time"] * 2 and ended[1][0] == SHORTEST_DECAY
    assert len(rates) == SHORTEST_DECAY and rates[-1] == pytest.approx(0.1)


def test_a_stall_does_not_cut_the_plan_to_pieces():
    keeper = Simulation(600, 0.1).keeper
    for _ in range(40):
        keeper._pending = {"step": 0.1}
        keeper.commit()
    keeper._pending = {"step": 30.0}
    keeper.commit()
    assert keeper.seconds["step"] == pytest.approx(0.1 + 0.4 / 16)


def test_the_first_steps_of_a_process_are_not_taken_for_its_speed():
    keeper = Timekeeper(Deadline(0.0, 60.0), [1], evaluate_every=1, sample_every=1)
    assert keeper.plan(0, 0, 0) is None
    for seconds, known in ((9.0, 9.0), (7.0, 7.0), (1.0, 1.0), (3.0, 2.0)):
        keeper._pending = {"step": seconds}
        keeper.commit()
        assert keeper.seconds["step"] == known


def test_evaluations_on_the_way_are_counted_when_they_come():
    keeper = Timekeeper(
        Deadline(0.0, 60.0), [1], evaluate_every=20, sample_every=500, forecast={"step": 1.0, "evaluation": 10.0}
    )
    assert keeper.seconds_for(20) == 30.0 and keeper.seconds_for(19) == 19.0
    assert keeper.seconds_for(1, stage_step=19) == 11.0
    assert keeper.steps_within(19.4) == 19 and keeper.steps_within(30.0) == 20 and keeper.steps_within(-5.0) == 0
