"""Who wins? Ten contestants, three elimination rounds, on Ray Tune.

variants.py (who enters) -> run.py (the command) -> text.py (what is read) -> trial.py (one contestant) ->
scheduler.py, which asks rounds.py (the rule) -> standings.py (what is written and printed). gpu_share.py says what
fits beside what.
"""
