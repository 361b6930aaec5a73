"""Architecture tournament on Ray Tune: ten contestants, three elimination rounds, one winner.

run (the command) -> entrants, plan, prepare_in_background -> tuner, scheduler, trial, training (Ray Tune and one run)
-> bracket, uncertainty (the rule, on plain numbers) -> league, standings (what is written and printed). gpu_memory says
which contestants fit on one card together. docs/files.md has a line on every module.
"""
