"""Tables and pictures of finished stages. Imports evaluation.forgetting, evaluation.statistics, runs and config.

What is shown of results that are on disk already; nothing here trains or measures.
"""
