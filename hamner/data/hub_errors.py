"""Hugging Face Hub errors: whether to retry, and what to say in one line.

In: an exception of the hub's libraries. Out: whether it is permanent; its reason and the way out.
"""

from __future__ import annotations

from hamner.runs.background import first_line

PERMANENT = {  # the libraries' exception classes -> what is wrong; "": the first line of their own message
    "RepositoryNotFoundError": "it does not exist on the Hugging Face Hub, or HF_TOKEN has no access to it",
    "GatedRepoError": "it is gated: request access on its page of the Hugging Face Hub, then set HF_TOKEN",
    "DisabledRepoError": "the Hugging Face Hub has disabled it: use another",
    "RevisionNotFoundError": "the commit that was read first does not exist any more: begin again in a new folder",
    "DatasetNotFoundError": "",
    "OfflineModeIsEnabled": "",
    "DataFilesNotFoundError": "",
}


def is_permanent(error: BaseException) -> bool:
    """Whether a retry cannot help: the requested thing does not exist, or the network is switched off."""
    # An unknown config, split or column; a subclass such as ArrowInvalid is a torn download, which a retry mends.
    if type(error) in (ValueError, KeyError):
        return True
    return _kind(error) is not None


def reason(error: BaseException | None) -> str:
    """What went wrong, in one line."""
    return PERMANENT.get(_kind(error) or "") or first_line(error)


def _kind(error: BaseException | None) -> str | None:
    """The nearest class of the error's that PERMANENT lists."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in PERMANENT), None)
