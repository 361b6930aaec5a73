"""Shapes of records that people have: each becomes the same conversation, and the others say what they lack."""

import json

import pytest

from hamner.data.sources import SOURCES, find_source

SAYS = [("user", "Where is the mill?"), ("assistant", "By the river.")]
LISTED = [{"role": role, "content": content} for role, content in SAYS]
SHAREGPT = [{"from": "human", "value": SAYS[0][1]}, {"from": "gpt", "value": SAYS[1][1]}]
QUESTION, ANSWER = SAYS[0][1], SAYS[1][1]
SYSTEM = ("system", "Be kind.")


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.mended("cases/data/sft_sharegpt, sft_alpaca, sft_list_line, sft_parts")
@pytest.mark.parametrize(
    "record",
    [
        {"messages": LISTED},
        {"messages": SHAREGPT},
        {"conversations": SHAREGPT},  # LMFlow #720, openchat #79
        {"conversations": LISTED},
        {"conversation": SHAREGPT, "id": 3},
        LISTED,  # nanochat: the line is the list
        {"instruction": QUESTION, "input": "", "output": ANSWER},
        {"instruction": QUESTION, "output": ANSWER, "text": "Below is an instruction ..."},  # tatsu-lab/alpaca
        {"instruction": QUESTION, "context": "", "response": ANSWER, "category": "open_qa"},  # Dolly
        {"prompt": QUESTION, "completion": ANSWER},
        {"prompt": QUESTION, "response": ANSWER},
        {"prompt": LISTED[:1], "completion": LISTED[1:]},  # TRL
        {"question": QUESTION, "answer": ANSWER},
        {"query": QUESTION, "response": ANSWER},
        {"input": QUESTION, "output": ANSWER},
        {"user": QUESTION, "assistant": ANSWER},
        {"inputs": QUESTION, "targets": ANSWER},  # FLAN
        {"messages": json.dumps(LISTED), "id": "3"},  # a cell of a table
        {"messages": [{"role": "user", "content": parts(QUESTION)}, {"role": "assistant", "content": parts(ANSWER)}]},
        {"messages": [{"role": "User", "content": [QUESTION]}, {"role": "Assistant", "content": ANSWER + "\n"}]},
        {"text": f"<|user|>\n{QUESTION}\n<|assistant|>\n{ANSWER}"},
    ],
)
def test_every_shape_becomes_the_same_conversation(record):
    assert list(SOURCES["sft"].parse(record).messages) == SAYS


@pytest.mark.mended("role developer")
@pytest.mark.parametrize(
    "record",
    [
        {"messages": [{"role": "developer", "content": "Be kind."}, *LISTED]},
        {"conversations": SHAREGPT, "system": "Be kind."},
        {"system_prompt": "Be kind.", "question": QUESTION, "response": ANSWER},  # OpenOrca
        {"system": "Be kind.", "instruction": QUESTION, "input": "", "output": ANSWER},
    ],
)
def test_system_prompts_are_read_wherever_they_stand(record):
    assert list(SOURCES["sft"].parse(record).messages) == [SYSTEM, *SAYS]


def test_an_instruction_is_read_with_its_input_and_its_history():
    parse = SOURCES["sft"].parse
    messages = parse(
        {"instruction": "Add", "input": "1, 2", "output": "3", "history": [["Hello", "Good day"]]}
    ).messages
    assert messages == (("user", "Hello"), ("assistant", "Good day"), ("user", "Add\n\n1, 2"), ("assistant", "3"))
    two = parse({"messages": [{"role": "user", "content": parts("a", "b")}, LISTED[1]]})
    assert two.messages[0] == ("user", "a\nb")


@pytest.mark.mended("cases/data/sft_empty_content, tool turns, keys that are named")
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": [LISTED[0], {"role": "assistant", "content": ""}]}, "an empty turn of the assistant"),
        ({"messages": [LISTED[0], {"role": "assistant", "content": " \n"}]}, "an empty turn of the assistant"),
        ({"text": "<|user|>Hello<|assistant|>  "}, "an empty turn of the assistant"),
        ({"prompt": "x", "completion": " "}, "an empty turn of the assistant"),
        ({"instruction": " ", "input": "", "output": "x"}, "nothing under 'instruction'"),
        ({"messages": [*LISTED, {"role": "tool", "content": "3"}]}, "a turn of a tool (role 'tool')"),
        ({"conversations": [*SHAREGPT, {"from": "function_call", "value": "f()"}]}, "a turn of a tool"),
        ({"messages": [LISTED[0], {"role": "assistant", "content": None, "tool_calls": [{}]}]}, "a call of a tool"),
        ({"messages": [LISTED[0], {"role": "[/INST]", "content": "x"}]}, "unknown role '[/INST]'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "not text (image_url)"),
        ({"messages": [{"role": "user", "content": None}]}, "a message without role or content"),
        ({"messages": ["Hello"]}, "a message without role or content"),
        ({"messages": "[{"}, "Expecting property name"),
        ({"messages": []}, "no turn of a user"),
        ({"messages": "Hello"}, "no 'messages' in the record: it is a string"),
        ({"chosen": "x", "rejected": "y"}, "in the record; its keys: 'chosen', 'rejected'"),
        ({"prompt": "x", "question": "y", "answer": "z"}, "which of the keys 'prompt', 'question', 'answer'"),
        ({"question": "x", "context": "the story", "answer": "z"}, "is it part of the question?"),
        ({"prompt": "x", "completion": 3}, "no text under 'completion': it is a number"),
        ({f"key{n}": n for n in range(30)}, "'key11', ..."),
        ({}, "its keys: none"),
        ([1, 2], "which is a list"),
        ("Hello", "which is a string"),
        (None, "which is a null"),
    ],
)
def test_any_other_record_is_refused_with_the_reason(record, reason):
    with pytest.raises(ValueError) as caught:
        SOURCES["sft"].parse(record)
    assert reason in str(caught.value)


def test_a_source_of_ones_own_prefers_text_to_a_question_and_its_answer():
    wiki = find_source("wiki")
    assert wiki.parse({"text": "A page", "question": "x", "answer": "y"}).messages == ()
    assert list(wiki.parse({"question": QUESTION, "answer": ANSWER}).messages) == SAYS
    assert list(wiki.parse({"conversations": SHAREGPT}).messages) == SAYS
    with pytest.raises(ValueError, match="no 'text' in the record; its keys: 'title'"):
        wiki.parse({"title": "x"})


@pytest.mark.mended("records that ended in a traceback, or lost a part of what they say")
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"instruction": "Add", "output": "3", "history": 5}, "a 'history' that is not a list"),
        ({"instruction": "Add", "output": "3", "history": True}, "a 'history' that is not a list"),
        ({"messages": "[" * 100_000}, "nested too deeply"),
        ({"conversations": [{"human": "Hi", "gpt": "Hello"}]}, "its keys: 'human', 'gpt'"),
        ({"messages": [LISTED[0], {"role": "assistant", "text": "By the river."}]}, "its keys: 'role', 'text'"),
        ({"messages": [{"role": "user", "content": 5}, LISTED[1]]}, "its content is a number"),
        ({"messages": [{"role": 0, "content": "Hi"}]}, "its role is a number"),
        ({"messages": [LISTED[0], None]}, "it is a null"),
        ({"messages": [{"role": "user", "content": " "}, LISTED[1]]}, "an empty turn of the user"),
        ({"messages": [LISTED[0], {"role": "assistant", "content": "\u200b\ufeff"}]}, "an empty turn of the assistant"),
        ({"messages": LISTED, "conversations": SHAREGPT[::-1]}, "'messages' than under 'conversations': which are"),
        ({"question": QUESTION, "answer": ["By the river.", "There."]}, "2 texts under 'answer': which is meant?"),
        ({"instruction": "Add", "input": ["1", "2"], "output": "3"}, "2 texts under 'input': which is meant?"),
        ({"question": QUESTION, "context": {"title": "x"}, "answer": ANSWER}, "no text under 'context'"),
        ({"messages": LISTED, "system": {"text": "Be kind."}}, "no text under 'system': it is a object"),
        ({"k" * 5000: 1}, f"its keys: '{'k' * 40}...'"),
        ({"messages": [{"role": "r" * 5000, "content": "x"}]}, f"unknown role '{'r' * 40}...'"),
    ],
)
def test_a_record_that_cannot_be_read_whole_is_refused_with_what_is_there(record, reason):
    with pytest.raises(ValueError) as caught:
        SOURCES["sft"].parse(record)
    assert reason in str(caught.value) and len(str(caught.value)) < 200


def test_the_same_messages_under_two_keys_are_one_conversation():
    assert list(SOURCES["sft"].parse({"messages": LISTED, "conversations": SHAREGPT, "system": None}).messages) == SAYS
    assert list(SOURCES["sft"].parse({"messages": LISTED, "system": parts("Be kind.")}).messages) == [SYSTEM, *SAYS]
