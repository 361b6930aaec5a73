"""What all runs share on a machine: folders, files, locks, metrics, options. Imports config; no torch, no Ray.

Run folders and their lock, atomic files, metrics and the resume log, the command line, work in the background, and the
settings of a Ray cluster, which takes the ray module as an argument.
"""
