"""Curriculum training on Ray Train: stages of data, and a plateau stopper (early stopping) that decides when each ends.

stages, curricula (what is read, in which order) -> run, starting_model, driver (the command) -> train_loop (the worker,
stage by stage) -> plateau_stopper, plateau, stage_schedule (when a stage ends) and measurements, run_logger (what it
learnt) -> compare. The tournament is known only through winner.json. docs/files.md has a line on every module.
"""
