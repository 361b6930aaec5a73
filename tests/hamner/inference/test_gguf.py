"""GGUF files: what they hold, read with the package gguf; slow: that llama.cpp says what we say, and what breaks it."""

import statistics
from collections import Counter

import pytest
import torch
from exported_models import CHATS, KINDS, NEW_TOKENS, PLAIN, greedy, learnt, lively, prompts, tokenizer, up_to_end
from llama_cpp import LlamaCpp
from tokenizers import Tokenizer as Inner
from tokenizers import pre_tokenizers

from hamner.config.errors import BadInput
from hamner.config.presets import PRESETS
from hamner.data.tokenizer import Tokenizer
from hamner.inference import gguf as ours
from hamner.inference.export_options import GGUF_FORMATS, gguf_formats
from hamner.model.layers import unit_scale
from hamner.model.transformer import build

library = pytest.importorskip("gguf", reason="gguf is not installed: pip install '.[test]'")
WORDS = tokenizer()
PADDED = WORDS.vocab_size + 5  # ids that no token has


def _tensors(path):
    return {tensor.name: tensor for tensor in library.GGUFReader(path).tensors}


def _value(path, key):
    return library.GGUFReader(path).fields[key].contents()


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A dense model and its file in fp32."""
    hamner, path = lively(vocab_size=PADDED), tmp_path_factory.mktemp("gguf") / "dense.gguf"
    assert ours.write_gguf(path, hamner, WORDS, "f32", "friend") == []
    return hamner, path


def test_the_file_says_what_llama_cpp_must_know(dense):
    hamner, path = dense
    expected = {
        "general.architecture": "llama",
        "general.name": "friend",
        "llama.block_count": 3,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.rope.freq_base": 10_000.0,
        "llama.context_length": hamner.config.max_seq_len,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.eot_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
    }
    assert {key: _value(path, key) for key in expected} == expected
    assert "{% generation" not in _value(path, "tokenizer.chat_template")  # a mark of transformers alone
    kinds = Counter(library.TokenType(kind).name for kind in _value(path, "tokenizer.ggml.token_type"))
    assert kinds == {"CONTROL": 17, "UNUSED": 5, "NORMAL": PADDED - 22}
    assert len(_value(path, "tokenizer.ggml.tokens")) == PADDED


def test_queries_and_keys_are_interleaved_and_the_head_is_untied(dense):
    hamner, path = dense
    tensors, attention = _tensors(path), hamner.blocks[1].attention
    for name, weight, heads in (("q", attention.q.weight, 4), ("k", attention.k.weight, 2)):
        there = torch.tensor(tensors[f"blk.1.attn_{name}.weight"].data)
        assert torch.equal(there.view(heads, -1, 2, 32)[:, :, 0], weight.view(heads, 2, -1, 32)[:, 0])
        assert torch.equal(there.view(heads, -1, 2, 32)[:, :, 1], weight.view(heads, 2, -1, 32)[:, 1])
    assert torch.equal(torch.tensor(tensors["blk.1.attn_v.weight"].data), attention.v.weight)
    assert torch.equal(torch.tensor(tensors["output.weight"].data), hamner.embedding.weight)
    assert torch.equal(torch.tensor(tensors["token_embd.weight"].data), unit_scale(hamner.embedding.weight))


def test_rows_that_are_no_whole_blocks_stay_f16_and_are_named(tmp_path):
    hamner = lively(vocab_size=PADDED, intermediate_size=50)
    left = ours.write_gguf(tmp_path / "q8", hamner, WORDS, "q8_0", "friend")
    assert left == [f"blk.{layer}.ffn_down.weight" for layer in range(3)]
    kinds = {name: tensor.tensor_type.name for name, tensor in _tensors(tmp_path / "q8").items()}
    assert all(kinds[name] == "F16" for name in left) and kinds["blk.0.ffn_up.weight"] == "Q8_0"
    assert kinds["output_norm.weight"] == "F32"
    line = ours.fallback_line(left, hamner.config)
    assert line == "F16 instead of Q8_0, since rows of 50 are not a multiple of 32: blk.*.ffn_down.weight"
    assert ours.fallback_line([], hamner.config) == ""


def test_v3_keeps_its_odd_width_in_f16():
    width = PRESETS["v3"].intermediate_size
    assert width == 1365 and ours.tensor_format("blk.0.ffn_down.weight", (512, width), "q8_0") == "f16"
    assert ours.tensor_format("blk.0.ffn_up.weight", (width, 512), "q8_0") == "q8_0"


@pytest.mark.parametrize("form", GGUF_FORMATS)
def test_a_router_stays_fp32(tmp_path, form):
    hamner = lively(vocab_size=PADDED, **KINDS["mixture"])
    ours.write_gguf(tmp_path / "m", hamner, WORDS, form, "friend")
    tensors = _tensors(tmp_path / "m")
    assert tensors["blk.0.ffn_gate_inp.weight"].tensor_type.name == "F32"
    assert _value(tmp_path / "m", "llama.expert_count") == 4 and _value(tmp_path / "m", "llama.expert_used_count") == 2
    assert tuple(tensors["blk.0.ffn_down_exps.weight"].shape) == (48, 32, 4)  # innermost first


def test_differential_attention_is_refused_in_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"no differential attention, .* leave out --gguf") as error:
        ours.write_gguf(tmp_path / "d", lively(**KINDS["differential"]), WORDS, "f16", "friend")
    assert len(error.value.problems) == 1 and not (tmp_path / "d").exists()


def test_a_tokenizer_that_splits_otherwise_is_refused():
    inner = Inner.from_str(WORDS.to_json())
    ours.check_tokenizer(Tokenizer(inner))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # GPT-2's own: no single digits
    with pytest.raises(BadInput, match="not byte-level BPE with single digits"):
        ours.check_tokenizer(Tokenizer(inner))


def test_formats_are_read_from_a_list():
    assert gguf_formats("F16, q8_0,f16") == ("f16", "q8_0")
    with pytest.raises(BadInput, match="'q8' is not a format; did you mean 'q8_0'"):
        gguf_formats("f16,q8")


def test_without_the_package_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="use `pip install gguf`"):
        gguf_formats("f16")


def test_the_modelfile_has_template_and_both_stops():
    text = ours.modelfile("friend-F16.gguf", 2048)
    assert "FROM ./friend-F16.gguf" in text and "num_ctx 2048" in text
    assert text.count("PARAMETER stop") == 2 and '"<|im_end|>"' in text and '"<|endoftext|>"' in text
    assert "<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n" in text and "<|im_start|>assistant\n" in text


@pytest.fixture(scope="module", params=["dense", "mixture"])
def by_heart(request):
    """A model that has learnt chats by heart, and its replies to 40 prompts."""
    hamner = learnt(WORDS, **KINDS[request.param])
    replies = [greedy(hamner, ids) for ids in prompts(WORDS)]
    assert len({tuple(reply) for reply in replies}) >= 20
    return hamner, replies


def _replies(path, hamner, form):
    """llama.cpp's replies to the 40 prompts, and its server."""
    ours.write_gguf(path, hamner, WORDS, form, "friend")
    server = LlamaCpp(path)
    return [up_to_end(server.greedy(ids, NEW_TOKENS)) for ids in prompts(WORDS)], server


@pytest.mark.slow
@pytest.mark.parametrize("form", ["f32", "f16"])
def test_llama_cpp_says_what_we_say(by_heart, tmp_path, form):
    hamner, replies = by_heart
    theirs, server = _replies(tmp_path / "m.gguf", hamner, form)
    assert theirs == replies
    assert [server.chat_ids(asked) for asked, _ in CHATS] == prompts(WORDS)[: len(CHATS)]
    assert [server.text_ids(text) for text in PLAIN] == prompts(WORDS)[len(CHATS) :]


@pytest.mark.slow
def test_with_weights_that_are_not_interleaved_llama_cpp_says_something_else(by_heart, tmp_path):
    """Export interleaves rows that were put into the opposite order before, so the file holds them as ours are."""
    hamner, replies = by_heart
    turned = build(hamner.config, 0).eval()
    turned.load_state_dict(hamner.state_dict())
    with torch.no_grad():
        for block in turned.blocks:
            for weight, heads in ((block.attention.q.weight, 4), (block.attention.k.weight, 2)):
                weight.copy_(weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(weight.shape))
    theirs, _ = _replies(tmp_path / "m.gguf", turned, "f32")
    assert sum(one == other for one, other in zip(theirs, replies, strict=True)) <= len(replies) // 2


@pytest.mark.slow
def test_q8_0_moves_the_log_probability_of_text_little(by_heart, tmp_path, capsys):
    hamner, _ = by_heart
    ours.write_gguf(tmp_path / "m.gguf", hamner, WORDS, "q8_0", "friend")
    server, differences = LlamaCpp(tmp_path / "m.gguf"), []
    for asked, answer in CHATS[:5]:
        ids = WORDS.encode_chat([("user", asked), ("assistant", answer)])
        with torch.no_grad():
            expected = hamner(torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in range(10, len(ids), 3):
            there = server.log_probability(ids[:place], ids[place], WORDS.vocab_size)
            differences.append(there - expected[place - 1, ids[place]].item())
    mean, spread = statistics.fmean(differences), statistics.pstdev(differences)
    with capsys.disabled():
        print(f"\nQ8_0: mean difference of log-probability {mean:+.4f}, spread {spread:.4f}, {len(differences)} tokens")
    assert len(differences) > 50 and abs(mean) < 0.02 and spread < 0.2


@pytest.mark.slow
def test_v3_at_full_size_says_the_same_in_llama_cpp(tmp_path):
    hamner = lively(scale=24, **PRESETS["v3"].model_dump())
    some = prompts(WORDS)[:20]
    left = ours.write_gguf(tmp_path / "v3.gguf", hamner, WORDS, "f32", "v3")
    server = LlamaCpp(tmp_path / "v3.gguf")
    assert left == [] and [server.chat_ids(asked) for asked, _ in CHATS] == some
    expected = [greedy(hamner, ids) for ids in some]
    assert len({tuple(reply) for reply in expected}) >= 10
    assert [up_to_end(server.greedy(ids, NEW_TOKENS)) for ids in some] == expected
