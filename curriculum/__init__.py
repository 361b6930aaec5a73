"""Raise the winner: stages of data, a plateau stopper that says when to move on, on Ray Train.

stages, curricula (what is read, in which order) -> run, pupil, follow (the command) -> train_loop (the worker, stage
by stage) -> plateau_stopper, ending (when is it over; hamner/plateau.py judges) and measuring, skills_matrix, records
(what it can do by then) -> compare. Knows the tournament only through winner.json.
"""
