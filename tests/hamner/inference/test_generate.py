"""Drawing tokens from hand-made logits, and where a text ends."""

from collections import Counter

import pytest
import torch

from hamner.config.schema import ModelConfig
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END, MESSAGE_START
from hamner.data.tokenizer import Tokenizer
from hamner.inference.decode import use_single_token_path
from hamner.inference.generate import SAMPLE_PROMPTS, Sampling, _draw, complete, prompt_ids, prompt_name, stream
from hamner.model.kv_cache import KVCache
from hamner.model.layers import RMSNorm
from hamner.model.transformer import build

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
        self.config = ModelConfig(
            vocab_size=vocab_size,
            hidden_size=2,
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            intermediate_size=1,
            max_seq_len=8,
        )
        self.embedding, self.dtype = torch.nn.Embedding(2, 1), torch.float32
        self.training, self.shown, self._tokens = True, [], iter(tokens)

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode

    def hidden_states(self, tokens, cache):
        assert not self.training
        if cache.length == 0:
            self.shown.append([])
        self.shown[-1] = [*self.shown[-1], *tokens[0].tolist()]
        cache.length += tokens.shape[1]
        assert cache.length == len(self.shown[-1]) <= self.config.max_seq_len
        return torch.zeros(1, tokens.shape[1], 2), torch.zeros(())

    def logits(self, hidden):
        logits = torch.full((self.config.vocab_size,), -9.0)
        logits[next(self._tokens)] = 9.0
        return logits


def _streamed(script, ids, limit=20, sampling=GREEDY):
    return list(stream(script, ids, limit, sampling, torch.Generator().manual_seed(0)))


def test_temperature_zero_is_the_arg_max():
    assert _drawn([0.1, 3.0, 2.99, -5.0], GREEDY) == {1: 400}


def test_uniform_logits_are_drawn_evenly():
    drawn = _drawn([0.5] * 10, PLAIN, times=5000)
    assert len(drawn) == 10
    assert all(abs(count - 500) < 5 * 22 for count in drawn.values())  # 5 standard deviations


def test_probabilities_are_the_softmax_at_the_temperature():
    drawn = _drawn([0.0, 1.0], _vary(PLAIN, temperature=0.5), times=5000)
    expected = torch.tensor([0.0, 2.0]).softmax(0)[1].item()  # 0.881
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
    assert _drawn([-2.0, -3.5], penalised, seen=[0, 0, 0]) == {0: 400}  # once, however often it was seen
    drawn = _drawn([-1.0, -1.0], _vary(PLAIN, repetition_penalty=2.0), seen=[1], times=5000)
    assert abs(drawn[0] / 5000 - torch.tensor([-1.0, -2.0]).softmax(0)[0].item()) < 0.025  # 0.731


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
    hamner = build(
        ModelConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=16,
            num_layers=1,
            num_heads=2,
            num_kv_heads=1,
            intermediate_size=16,
            max_seq_len=64,
        ),
        seed=0,
    )
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


KINDS = {
    "dense": {},
    "differential": {"attention": "differential"},
    "experts": {"num_experts": 4, "num_active_experts": 2},
    "documents": {"document_mask": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_changes_no_token(kind):
    hamner = build(
        ModelConfig(
            vocab_size=300,
            hidden_size=32,
            num_layers=3,
            num_heads=4,
            num_kv_heads=2,
            intermediate_size=48,
            max_seq_len=64,
            **KINDS[kind],
        ),
        seed=1,
    ).eval()
    prompt = torch.randint(20, 300, (9,), generator=torch.Generator().manual_seed(0)).tolist()
    read, whole, generator = list(prompt), [], torch.Generator().manual_seed(4)
    with torch.no_grad():
        while len(read) < 64:  # each time everything is computed anew
            read.append(_draw(hamner(torch.tensor([read])).logits[0, -1], whole, Sampling(), generator))
            whole.append(read[-1])
    assert len(set(whole)) > 20
    found = list(stream(hamner, prompt, len(whole), Sampling(), torch.Generator().manual_seed(4)))
    assert found == whole[: len(found)]
    assert len(found) == len(whole) or whole[len(found)] in (END_OF_TEXT, MESSAGE_START, MESSAGE_END)


@pytest.mark.parametrize("kind", KINDS)
def test_cached_hidden_states_equal_those_of_the_whole(kind):
    model = ModelConfig(
        vocab_size=300,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        intermediate_size=48,
        max_seq_len=40,
        **KINDS[kind],
    )
    hamner, cache = build(model, seed=1).eval(), KVCache(model, 99, batch=2)
    tokens = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(0))
    tokens[0, 3], tokens[1, 7], tokens[:, 15] = END_OF_TEXT, END_OF_TEXT, END_OF_TEXT  # within parts and at an edge
    with torch.no_grad():
        whole, _ = hamner.hidden_states(tokens)
        parts = [hamner.hidden_states(part, cache)[0] for part in tokens.split([7, 1, 12, 20], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=0)
    assert cache.length == 40
    with pytest.raises(ValueError, match="41 tokens exceed max_seq_len 40"):
        hamner.hidden_states(tokens[:, :1], cache)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_a_token_alone_equals_one_on_the_way_with_gradients(kind, kv_heads):
    model = ModelConfig(
        vocab_size=300,
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        num_kv_heads=kv_heads,
        intermediate_size=48,
        max_seq_len=40,
        **KINDS[kind],
    )
    hamner, prompt = build(model, seed=1).eval().requires_grad_(False), torch.arange(30, 39)[None]
    alone, general = KVCache(model, 40), KVCache(model, 40)
    with torch.no_grad():
        for norm in (part for part in hamner.modules() if isinstance(part, RMSNorm)):
            norm.weight.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(0))
        hamner.hidden_states(prompt, alone)
        hamner.hidden_states(prompt, general)
    for token in range(40, 60):
        with torch.no_grad():
            found, balance = hamner.hidden_states(torch.tensor([[token]]), alone)
            assert use_single_token_path(model, torch.tensor([[token]]), hamner.dtype) == (kind == "dense")
        expected, expected_balance = hamner.hidden_states(torch.tensor([[token]]), general)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(balance, expected_balance)
    assert alone.length == general.length == 29


@pytest.mark.parametrize("masked", [False, True])
def test_a_cache_takes_neither_more_tokens_nor_other_rows_than_it_has_room_for(masked):
    model = ModelConfig(
        vocab_size=50,
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        num_kv_heads=1,
        intermediate_size=16,
        document_mask=masked,
    )
    hamner = build(model, 0).eval()
    cache = KVCache(model, 5)
    hamner.hidden_states(torch.arange(5)[None], cache)
    with pytest.raises(ValueError, match="1 rows of 6 tokens in a cache for 1 of 5"):
        hamner.hidden_states(torch.tensor([[7]]), cache)
    with pytest.raises(ValueError, match="1 rows of 2 tokens in a cache for 3 of 5"):
        hamner.hidden_states(torch.tensor([[7, 8]]), KVCache(model, 5, batch=3))
