"""Raise the winner: eight stages of data, a plateau stopper that says when to move on, on Ray Train.

stages.py (what is read, in which order) -> run.py (the command) -> train_loop.py (the worker, stage by stage)
-> plateau_stopper.py (measures; hamner/plateau.py judges). Knows the tournament only through winner.json.
"""
