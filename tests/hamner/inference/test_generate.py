"""Text generation: drawing tokens from hand-made logits, where a text ends, the KV cache against whole passes."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from model_kinds import KINDS, small_model
from scripted_model import Script

from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START
from hamner.data.tokenizer import Tokenizer
from hamner.inference.find_model import LoadedModel
from hamner.inference.generate import (
    SAMPLE_PROMPTS,
    Sampling,
    complete,
    draw_token,
    generate,
    prompt_ids,
    prompt_name,
    stream,
)
from hamner.model.transformer import build

PLAIN = Sampling(temperature=1.0, top_k=100, top_p=1.0, repetition_penalty=1.0)
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)


def _counts(logits, sampling, seen=(), times=400):
    generator = torch.Generator().manual_seed(0)
    return Counter(draw_token(torch.tensor(logits), seen, sampling, generator) for _ in range(times))


def _vary(sampling, **changes):
    return Sampling(**(vars(sampling) | changes))


def _streamed(script, ids, limit=20, sampling=GREEDY):
    return list(stream(script, ids, limit, sampling, torch.Generator().manual_seed(0)))


def test_temperature_zero_is_the_arg_max():
    assert _counts([0.1, 3.0, 2.99, -5.0], GREEDY) == {1: 400}


def test_uniform_logits_are_drawn_evenly():
    counts = _counts([0.5] * 10, PLAIN, times=5000)
    assert len(counts) == 10
    assert all(abs(count - 500) < 5 * 22 for count in counts.values())  # 5 standard deviations


def test_probabilities_are_the_softmax_at_the_temperature():
    counts = _counts([0.0, 1.0], _vary(PLAIN, temperature=0.5), times=5000)
    expected = torch.tensor([0.0, 2.0]).softmax(0)[1].item()  # 0.881
    assert abs(counts[1] / 5000 - expected) < 0.025


def test_top_k_keeps_the_k_likeliest():
    assert set(_counts([1.0, 5.0, 4.9, 4.8, -1.0], _vary(PLAIN, top_k=3))) == {1, 2, 3}
    assert set(_counts([1.0, 5.0, 4.9], _vary(PLAIN, top_k=1))) == {1}


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    assert set(_counts(logits, _vary(PLAIN, top_p=0.4))) == {0}
    assert set(_counts(logits, _vary(PLAIN, top_p=0.6))) == {0, 1}
    assert set(_counts(logits, _vary(PLAIN, top_p=0.9))) == {0, 1, 2}
    assert set(_counts(logits, PLAIN)) == {0, 1, 2, 3}
    assert set(_counts(logits, _vary(PLAIN, top_p=0.01))) == {0}


@pytest.mark.parametrize("min_p", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_min_p_keeps_the_tokens_that_transformers_keeps(min_p, temperature):
    from transformers import MinPLogitsWarper

    logits = torch.linspace(0.0, 3.0, 12)
    theirs = MinPLogitsWarper(min_p)(torch.zeros(1, 0), logits[None] / temperature)[0]
    expected = set(theirs.isfinite().nonzero().flatten().tolist())
    counts = _counts(logits.tolist(), _vary(PLAIN, temperature=temperature, min_p=min_p), times=1000)
    probability = theirs.softmax(0)
    assert set(counts) <= expected and {token for token in expected if probability[token] > 0.01} <= set(counts)
    assert min_p < 1 or set(counts) == {11}


def test_penalty_lowers_a_positive_and_a_negative_logit():
    penalised = _vary(GREEDY, repetition_penalty=1.5)
    assert _counts([2.0, 1.9], penalised, seen=[0]) == {1: 400}
    assert _counts([-2.0, -2.1], penalised, seen=[0]) == {1: 400}
    assert _counts([-2.0, -2.1], penalised) == {0: 400}
    assert _counts([-2.0, -3.5], penalised, seen=[0, 0, 0]) == {0: 400}  # once, however often it was seen
    counts = _counts([-1.0, -1.0], _vary(PLAIN, repetition_penalty=2.0), seen=[1], times=5000)
    assert abs(counts[0] / 5000 - torch.tensor([-1.0, -2.0]).softmax(0)[0].item()) < 0.025  # 0.731


@pytest.mark.parametrize("end", [END_OF_TEXT, MESSAGE_START, MESSAGE_END])
def test_text_stops_at_an_end_token_and_leaves_it_out(end):
    assert _streamed(Script([7, 8, end, 9]), [5]) == [7, 8]


def test_text_stops_at_the_limit():
    script = Script([7] * 9)
    assert _streamed(script, [5], limit=4) == [7, 7, 7, 7]
    assert script.shown == [[5, 7, 7, 7]]  # each read once; the last is not needed any more


def test_context_grows_and_loses_its_older_half_when_full():
    script = Script([11, 12, 13, 14, 15, 16, END_OF_TEXT])
    _streamed(script, range(20, 27))
    assert script.shown == [
        [20, 21, 22, 23, 24, 25, 26, 11],  # max_seq_len 8
        [25, 26, 11, 12, 13, 14, 15, 16],
    ]
    long = Script([END_OF_TEXT])
    _streamed(long, range(20, 40))
    assert long.shown == [[*range(32, 40)]]
    empty = Script([END_OF_TEXT])
    _streamed(empty, [])
    assert empty.shown == [[END_OF_TEXT]]


def test_penalty_counts_generated_tokens_only():
    class Flat(Script):
        def logits(self, hidden):
            return torch.tensor([0.0, 0, 0, 3.0, 2.9])

    penalised = _vary(GREEDY, repetition_penalty=1.1)
    assert _streamed(Flat([], vocab_size=5), [3, 3], limit=2, sampling=penalised) == [3, 4]


@pytest.mark.parametrize("taken", [1, 99])
def test_model_goes_back_to_training_however_sampling_ends(taken):
    script = Script([7, 8, END_OF_TEXT])
    tokens = stream(script, [5], 20, GREEDY, torch.Generator())
    for _, _ in zip(range(taken), tokens, strict=False):
        pass
    tokens.close()
    assert script.training is True


def test_same_seed_same_text():
    tokenizer = Tokenizer.train(["user assistant the fox and the owl", *map(str, SAMPLE_PROMPTS)], 340)
    hamner = build(small_model(vocab_size=tokenizer.vocab_size, num_layers=1, max_seq_len=64), seed=0)
    for prompt in (SAMPLE_PROMPTS[1], SAMPLE_PROMPTS[3]):
        texts = [complete(hamner, tokenizer, prompt, 12, Sampling(), seed) for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]
        greedy = {complete(hamner, tokenizer, prompt, 12, Sampling(temperature=0.0), seed) for seed in (1, 2)}
        assert len(greedy) == 1
        loaded = LoadedModel(hamner, tokenizer, Path())
        assert generate(loaded, prompt, max_new_tokens=12, seed=1) == texts[0]
        assert generate(loaded, prompt, max_new_tokens=12, temperature=0.0) in greedy
        with pytest.raises(TypeError, match="temprature"):
            generate(loaded, prompt, temprature=0.0)


def test_prompts_are_text_or_messages():
    tokenizer = Tokenizer.train(["hello user assistant"], 280)
    chat = (("user", "hello"),)
    assert prompt_ids(tokenizer, "hello") == tokenizer.encode("hello")
    assert prompt_ids(tokenizer, chat) == tokenizer.encode_chat(chat, reply=True)
    assert prompt_name("hello") == prompt_name((("system", "be kind"), ("user", "hello"))) == "hello"
    assert len({prompt_name(prompt) for prompt in SAMPLE_PROMPTS}) == 7


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_changes_no_token(kind):
    hamner = build(small_model(max_seq_len=64, **KINDS[kind]), seed=1).eval()
    prompt = torch.randint(20, 300, (9,), generator=torch.Generator().manual_seed(0)).tolist()
    read, whole, generator = list(prompt), [], torch.Generator().manual_seed(4)
    with torch.no_grad():
        while len(read) < 64:  # each time everything is computed anew
            read.append(draw_token(hamner(torch.tensor([read])).logits[0, -1], whole, Sampling(), generator))
            whole.append(read[-1])
    assert len(set(whole)) > 20
    cached = list(stream(hamner, prompt, len(whole), Sampling(), torch.Generator().manual_seed(4)))
    assert cached == whole[: len(cached)]
    assert len(cached) == len(whole) or whole[len(cached)] in (END_OF_TEXT, MESSAGE_START, MESSAGE_END)
