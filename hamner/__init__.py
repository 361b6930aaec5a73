"""The friend: model, data, training, talk. Knows torch; never Ray.

In the order data flows:

config, load_config, presets, contestants, cost   what is asked for, what a model is, what it costs
sources/, builtin_text/, synthetic_tasks/ where text comes from
process_youtube, youtube_download, captions, voice_samples   somebody's videos -> text of their own
normalise, near_duplicates, heldout, tokenizer   what text is cleaned of, what says the same, what is held out, ids
child, hub_errors                         what may hang, in a process that can be ended; what the hub's errors mean
prepare_data, preparation, survey, shards, store, corpus   text -> shards on disk -> arrays of tokens
mixer                                     ratios of sources -> batches of tokens (B, T)
attention, mlp, model                     tokens -> logits
loss                                      logits -> nats; the one place that shifts
optim, emotional_layers, trainer, checkpoint   one step, and what must survive a kill
evaluate, skills, plateau                 held-out loss; every task and level; is the stage over?
metrics, resume_log, results, command     rows and curves; what a kill cost; folders of runs; what commands share
generate, chat                            text out
"""
