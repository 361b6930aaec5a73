"""The exported folder in transformers: the same logits, replies and prompts; read back it is the same, bit for bit."""

import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from exported_models import CHATS, KINDS, NEW_TOKENS, PLAIN, greedy, lively, prompts, tokenizer, up_to_end
from model_kinds import small_model

from hamner.config.errors import BadInput
from hamner.config.presets import PRESETS
from hamner.config.special_tokens import END_OF_TEXT, MESSAGE_END
from hamner.inference import huggingface
from hamner.inference.find_model import load
from hamner.model.transformer import build

WORDS = tokenizer()
TRUST = {"trust_remote_code": True}


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory):
    """(our model, its exported folder), of every kind."""
    hamner = lively(seed=1, vocab_size=WORDS.vocab_size + 5, rope_theta=5_000.0, **KINDS[request.param])
    folder = tmp_path_factory.mktemp("exported")
    huggingface.write_folder(folder, hamner, WORDS)
    return hamner, folder


@pytest.fixture(scope="module")
def theirs(exported, tmp_path_factory):
    """transformers' model and tokenizer of the folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    patch = pytest.MonkeyPatch()
    patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
    yield (
        AutoModelForCausalLM.from_pretrained(exported[1], **TRUST).eval(),
        AutoTokenizer.from_pretrained(exported[1], **TRUST),
    )
    patch.undo()


@torch.no_grad()
def test_logits_are_ours(exported, theirs):
    tokens = torch.randint(17, WORDS.vocab_size, (3, 100), generator=torch.Generator().manual_seed(0))
    ours = exported[0](tokens).logits
    assert (theirs[0](tokens).logits - ours).abs().max() <= 1e-4 * ours.abs().max().clamp(min=1)
    assert ours.std() > 0.3


@torch.no_grad()
def test_forty_greedy_tokens_of_forty_prompts_are_ours_in_one_padded_batch(exported, theirs):
    ids = prompts(WORDS)
    ours = [greedy(exported[0], each) for each in ids]
    assert len({tuple(each) for each in ours}) >= 20  # replies that differ, so that the comparison says something
    model, words = theirs
    words.padding_side = "left"
    batch = words.pad({"input_ids": ids}, return_tensors="pt")
    new = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False, temperature=None, top_k=None, top_p=None)
    assert [up_to_end(each.tolist()) for each in new[:, batch["input_ids"].shape[1] :]] == ours


def test_prompts_have_our_ids_and_the_mask_is_the_reply_with_its_end(exported, theirs):
    words = theirs[1]
    for asked, answer in CHATS:
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        ids = words.apply_chat_template(messages[:1], add_generation_prompt=True, tokenize=True, return_dict=False)
        assert ids == WORDS.encode_chat([("user", asked)], reply=True)
        both = words.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        assert [*both["input_ids"], END_OF_TEXT] == WORDS.encode_chat([("user", asked), ("assistant", answer)])
        spoken = [i for i, is_spoken in zip(both["input_ids"], both["assistant_masks"], strict=True) if is_spoken]
        assert spoken == [*WORDS.encode(answer), MESSAGE_END]
    assert [words.encode(text) for text in PLAIN] == [WORDS.encode(text) for text in PLAIN]


def test_read_back_it_is_the_same_bit_for_bit(exported):
    hamner, folder = exported
    again, words = huggingface.read_folder(folder)
    assert again.config == hamner.config and words.sha256 == WORDS.sha256
    for (name, one), (other, two) in zip(hamner.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other and torch.equal(one, two)
    assert torch.equal(load(folder).model(torch.arange(30)[None]).logits, hamner(torch.arange(30)[None]).logits)


def test_parameters_are_counted_as_written(exported):
    hamner, folder = exported
    written = sum(tensor.numel() for tensor in safetensors.torch.load_file(folder / "model.safetensors").values())
    assert written == huggingface.exported_parameters(hamner.config)


def test_presets_grow_as_much_as_the_page_says():
    millions = {name: round(huggingface.exported_parameters(model) / 1e6, 1) for name, model in PRESETS.items()}
    assert millions == {"v2": 201.4, "v3": 72.4}


def test_what_other_programs_trip_over_is_written(exported):
    hamner, folder = exported
    names = ("config.json", "generation_config.json", "tokenizer_config.json")
    config, generation, words = (json.loads((folder / name).read_text()) for name in names)
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 5_000.0  # 4.57 reads the first alone
    assert generation["eos_token_id"] == config["eos_token_id"] == [MESSAGE_END, END_OF_TEXT]
    assert (words["eos_token"], words["pad_token"]) == ("<|im_end|>", "<|endoftext|>")
    assert words["tokenizer_class"] == "PreTrainedTokenizerFast" and words["add_bos_token"] is False
    assert "{% generation %}" in words["chat_template"] and words["model_max_length"] == hamner.config.max_seq_len
    assert config["tie_word_embeddings"] is False
    modes = {path.stat().st_mode for path in folder.iterdir()}
    assert len(modes) == 1  # safetensors' own would be readable to one user alone


def test_the_rounded_folder_is_read_back_as_rounded(tmp_path):
    hamner = lively(vocab_size=WORDS.vocab_size)
    huggingface.write_folder(tmp_path, hamner, WORDS, "bfloat16")
    again, _ = huggingface.read_folder(tmp_path)
    for name, weight in hamner.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight.bfloat16().float())
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.fixture
def folder(tmp_path):
    huggingface.write_folder(tmp_path, lively(vocab_size=WORDS.vocab_size), WORDS)
    return tmp_path


def _change_weights(folder, change):
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, folder / "model.safetensors")


def _change_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


BROKEN = {
    "trained elsewhere": (_change_weights, lambda w: w["lm_head.weight"].add_(0.001), "trained on elsewhere"),
    "a tensor less": (_change_weights, lambda w: w.pop("model.norm.weight"), "other tensors than its config says"),
    "another shape": (_change_weights, lambda w: w.update({"model.norm.weight": torch.ones(3)}), r"is \(3,\), not"),
    "somebody else's": (_change_config, lambda c: c.pop("hamner"), "was not exported by hamner"),
    "no weights": (lambda folder, _: (folder / "model.safetensors").write_bytes(b"torn"), None, "is broken"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_cannot_be_read_is_refused_in_one_line(folder, case):
    spoil, change, words = BROKEN[case]
    spoil(folder, change)
    with pytest.raises(BadInput, match=words) as error:
        huggingface.read_folder(folder)
    assert len(error.value.problems) == 1


def test_attention_of_ones_own_is_refused_in_one_line():
    model = small_model().model_construct(**(small_model().model_dump() | {"attention": "mine.Attention"}))
    with pytest.raises(BadInput, match=r"'mine\.Attention' is code of your own"):
        huggingface.check_exportable(model)


V3_CHECK = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
torch.save(model(torch.load(sys.argv[2])).logits.detach(), sys.argv[3])
"""


@pytest.mark.slow
@torch.no_grad()
def test_v3_at_full_size_has_our_logits(tmp_path):
    hamner = build(PRESETS["v3"], 0).eval()
    huggingface.write_folder(tmp_path / "v3", hamner, WORDS)
    tokens = torch.randint(0, 49_152, (2, 300), generator=torch.Generator().manual_seed(0))
    torch.save(tokens, tmp_path / "tokens")
    paths = [str(tmp_path / name) for name in ("v3", "tokens", "logits")]
    subprocess.run([sys.executable, "-c", V3_CHECK, *paths], check=True)
    assert (torch.load(tmp_path / "logits") - hamner(tokens).logits).abs().max() <= 1e-4
