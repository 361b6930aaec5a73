"""Special tokens: the reserved ids of every tokenizer, and the roles of a chat (system, user, assistant)."""

from __future__ import annotations

RESERVED = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<jupyter_script>",
    "<empty_output>",
)
END_OF_TEXT, MESSAGE_START, MESSAGE_END = 0, 1, 2
ROLES = ("system", "user", "assistant")
Message = tuple[str, str]  # role, content
