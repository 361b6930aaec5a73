"""Talk to the model of a shared folder with transformers alone: `python talk.py`. Sharing copies this file."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
LEAST_REPLY = 16  # tokens


def model_class() -> Any:
    """The class of the model; a model with code of its own has it in this folder, beside this script."""
    if "auto_map" in json.loads((FOLDER / "config.json").read_text(encoding="utf-8")):
        sys.path.insert(0, str(FOLDER))
        return importlib.import_module("modeling_hamner").HamnerForCausalLM
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM


def main() -> None:
    from transformers import PreTrainedTokenizerFast, TextStreamer

    tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)
    model = model_class().from_pretrained(FOLDER).eval()
    longest = model.config.max_position_embeddings - LEAST_REPLY
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    messages: list[dict[str, str]] = []
    print("Type a message; /quit or Ctrl-D ends. This is a small model: expect small talk, not facts.")
    while True:
        try:
            text = input("you: ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if text == "/quit":
            return
        if not text:
            continue
        # a message that spells a mark of the template would end its own turn
        messages.append({"role": "user", "content": text.replace("<|", "< |")})
        while True:
            inputs = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            length = inputs["input_ids"].shape[1]
            if length <= longest or len(messages) == 1:
                break
            print("(the oldest messages no longer fit and are forgotten)")
            del messages[:2]
        if length > longest:
            print(f"(that message has {length} tokens; at most {longest} fit)")
            messages.clear()
            continue
        room = min(model.generation_config.max_new_tokens, longest + LEAST_REPLY - length)
        ids = model.generate(**inputs, streamer=streamer, max_new_tokens=room)
        reply = tokenizer.decode(ids[0, length:], skip_special_tokens=True)
        messages.append({"role": "assistant", "content": reply})


if __name__ == "__main__":
    main()
