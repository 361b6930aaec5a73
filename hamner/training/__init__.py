"""The training step and what survives a kill. Imports data, model, runs and config.

session.py opens, resumes, feeds, measures and checkpoints a run; the trainer makes one step; optimizer, learning rate,
checkpoints and throughput have a file each. Tournament and curriculum are written with a session.
"""
