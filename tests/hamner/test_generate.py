"""Drawing tokens from hand-made logits, and where a text ends."""

from collections import Counter

import pytest
import torch

from hamner.config import ModelConfig
from hamner.generate import SAMPLE_PROMPTS, Sampling, _draw, complete, prompt_ids, prompt_name, stream
from hamner.model import Output, build
from hamner.tokenizer import END_OF_TEXT, MESSAGE_END, MESSAGE_START, Tokenizer

PLAIN = Sampling(temperature=1.0, top_k=100, top_p=1.0, repetition_penalty=1.0)
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)


def _drawn(logits, sampling, seen=(), times=400):
    generator = torch.Generator().manual_seed(0)
    return Counter(_draw(torch.tensor(logits), seen, sampling, generator) for _ in range(times))


def _vary(sampling, **changes):
    return Sampling(**(vars(sampling) | changes))


class Script:
    """Stands where a model does: always the next token of a script is certain. Keeps what it was shown."""

    def __init__(self, tokens, vocab_size=30):
        self.config = ModelConfig(vocab_size=vocab_size, hidden_size=2, num_layers=1, num_heads=1,
                                  num_kv_heads=1, intermediate_size=1, max_seq_len=8)
        self.embedding = torch.nn.Embedding(2, 1)
        self.training, self.shown, self._tokens = True, [], iter(tokens)

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def forward(self, window):
        assert not self.training
        self.shown.append(window[0].tolist())
        logits = torch.full((1, window.shape[1], self.config.vocab_size), -9.0)
        logits[0, -1, next(self._tokens)] = 9.0
        return Output(logits, torch.zeros(()))


def _streamed(script, ids, limit=20, sampling=GREEDY):
    return list(stream(script, ids, limit, sampling, torch.Generator().manual_seed(0)))


def test_temperature_zero_is_the_arg_max():
    assert _drawn([0.1, 3.0, 2.99, -5.0], GREEDY) == {1: 400}


def test_uniform_logits_are_drawn_evenly():
    drawn = _drawn([0.5] * 10, PLAIN, times=5000)
    assert len(drawn) == 10
    assert all(abs(count - 500) < 5 * 22 for count in drawn.values())    # 5 standard deviations


def test_probabilities_are_the_softmax_at_the_temperature():
    drawn = _drawn([0.0, 1.0], _vary(PLAIN, temperature=0.5), times=5000)
    expected = torch.tensor([0.0, 2.0]).softmax(0)[1].item()    # 0.881
    assert abs(drawn[1] / 5000 - expected) < 0.025


def test_top_k_keeps_the_k_likeliest():
    assert set(_drawn([1.0, 5.0, 4.9, 4.8, -1.0], _vary(PLAIN, top_k=3))) == {1, 2, 3}
    assert set(_drawn([1.0, 5.0, 4.9], _vary(PLAIN, top_k=1))) == {1}


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    assert set(_drawn(logits, _vary(PLAIN, top_p=0.4))) == {0}
    assert set(_drawn(logits, _vary(PLAIN, top_p=0.6))) == {0, 1}
    assert set(_drawn(logits, _vary(PLAIN, top_p=0.9))) == {0, 1, 2}
    assert set(_drawn(logits, PLAIN)) == {0, 1, 2, 3}
    assert set(_drawn(logits, _vary(PLAIN, top_p=0.01))) == {0}


def test_penalty_lowers_a_positive_and_a_negative_logit():
    penalised = _vary(GREEDY, repetition_penalty=1.5)
    assert _drawn([2.0, 1.9], penalised, seen=[0]) == {1: 400}
    assert _drawn([-2.0, -2.1], penalised, seen=[0]) == {1: 400}
    assert _drawn([-2.0, -2.1], penalised) == {0: 400}
    assert _drawn([-2.0, -3.5], penalised, seen=[0, 0, 0]) == {0: 400}    # once, however often it was seen
    drawn = _drawn([-1.0, -1.0], _vary(PLAIN, repetition_penalty=2.0), seen=[1], times=5000)
    assert abs(drawn[0] / 5000 - torch.tensor([-1.0, -2.0]).softmax(0)[0].item()) < 0.025    # 0.731


@pytest.mark.parametrize("end", [END_OF_TEXT, MESSAGE_START, MESSAGE_END])
def test_text_stops_at_an_end_token_and_leaves_it_out(end):
    assert _streamed(Script([7, 8, end, 9]), [5]) == [7, 8]


def test_text_stops_at_the_limit():
    script = Script([7] * 9)
    assert _streamed(script, [5], limit=4) == [7, 7, 7, 7]
    assert len(script.shown) == 4


def test_context_grows_and_loses_its_oldest_tokens():
    script = Script([11, 12, 13, END_OF_TEXT])
    _streamed(script, range(20, 27))
    assert script.shown == [
        [20, 21, 22, 23, 24, 25, 26], [20, 21, 22, 23, 24, 25, 26, 11], [21, 22, 23, 24, 25, 26, 11, 12],
        [22, 23, 24, 25, 26, 11, 12, 13],
    ]
    empty = Script([END_OF_TEXT])
    _streamed(empty, [])
    assert empty.shown == [[END_OF_TEXT]]


def test_penalty_counts_generated_tokens_only():
    class Flat(Script):
        def forward(self, window):
            logits = torch.tensor([[[0.0, 0, 0, 3.0, 2.9]]]).repeat(1, window.shape[1], 1)
            return Output(logits, torch.zeros(()))

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
    hamner = build(ModelConfig(vocab_size=tokenizer.vocab_size, hidden_size=16, num_layers=1, num_heads=2,
                               num_kv_heads=1, intermediate_size=16, max_seq_len=64), seed=0)
    for prompt in (SAMPLE_PROMPTS[1], SAMPLE_PROMPTS[3]):
        texts = [complete(hamner, tokenizer, prompt, 12, Sampling(), seed) for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]
        greedy = {complete(hamner, tokenizer, prompt, 12, Sampling(temperature=0.0), seed) for seed in (1, 2)}
        assert len(greedy) == 1


def test_prompts_are_text_or_messages():
    tokenizer = Tokenizer.train(["hello user assistant"], 280)
    chat = (("user", "hello"),)
    assert prompt_ids(tokenizer, "hello") == tokenizer.encode("hello")
    assert prompt_ids(tokenizer, chat) == tokenizer.encode_chat(chat, reply=True)
    assert prompt_name("hello") == prompt_name((("system", "be kind"), ("user", "hello"))) == "hello"
    assert len({prompt_name(prompt) for prompt in SAMPLE_PROMPTS}) == 7
