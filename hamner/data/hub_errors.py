"""What the hub's libraries raise: whether trying again can help, and how to say it in one line."""

from __future__ import annotations

from hamner.runs.background import first_line

PERMANENT = {  # kinds of the libraries, and theirs -> what it means; "": the first line of what they say
    "RepositoryNotFoundError": "there is no such thing on the hub, or not for this account (HF_TOKEN)",
    "GatedRepoError": "it is gated: ask for access on its page of the hub, then set HF_TOKEN",
    "DisabledRepoError": "the hub has switched it off",
    "RevisionNotFoundError": "the commit that was begun with is not there any more",
    "DatasetNotFoundError": "",
    "OfflineModeIsEnabled": "",
    "DataFilesNotFoundError": "",
}


def permanent(error: BaseException) -> bool:
    """Whether trying again cannot help: what is asked for does not exist, or the network is switched off."""
    if type(error) in (ValueError, KeyError):  # no such part, split or column; ArrowInvalid is a torn download
        return True
    return _kind(error) is not None


def reason(error: BaseException | None) -> str:
    return PERMANENT.get(_kind(error) or "") or first_line(error)


def _kind(error: BaseException | None) -> str | None:
    """The nearest of its kinds that is listed."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in PERMANENT), None)
