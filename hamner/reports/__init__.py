"""Tables and pictures of finished stages. Imports evaluation.forgetting, evaluation.statistics, runs and config."""
