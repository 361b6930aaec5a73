"""Curriculum learning on Ray Train: raise one model through stages of data, each until it has learnt enough.

stages, curricula (what is read, in which order), starting_model (who is raised), disk (does it fit) -> run, driver (the
command) -> train_loop (the worker, stage by stage) -> plateau_stopper, plateau, stage_schedule (when is a stage over)
and measurements, run_logger (what it can do by then) -> compare. Knows the tournament only through winner.json.
"""
