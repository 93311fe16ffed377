"""Errors of huggingface_hub as one `UserError`: what is wrong and what to do, without the access token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from vireid.core.errors import UserError

_TOKENS = re.compile(r"\bhf_\w+|(?<=Bearer )[^\s'\"]+")
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_BY_STATUS = {  # what to do, by the status of the response
    401: f"the access token is missing or not valid; {_LOGIN}",
    403: "the access token has no permission for this; create one with write access to OWNER",
    404: "does not exist, or it is private and the access token cannot read it; check the name",
    429: "too many requests; wait some minutes and try again",
}


@contextmanager
def hub_errors(place: object, token: str | None = None) -> Iterator[None]:
    """Turn the errors of huggingface_hub, of the connection and of the cache folder into a `UserError`.

    The error has no cause and no context in its traceback: these may show the headers of a request.

    Args:
        place: What the error is about: a reference.
        token: Access token; it is removed from the text.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError, *_http_errors()) as error:
        text = _explanation(error)
        if token:
            text = text.replace(token, "***")
        raise UserError(f"{place}: {_TOKENS.sub('***', text)}") from None


def _http_errors() -> tuple[type[Exception], ...]:
    """The base class of the errors of the HTTP library that this version of huggingface_hub uses."""
    from huggingface_hub import errors

    return (errors.HTTPError,)  # type: ignore[attr-defined]


def _explanation(error: Exception) -> str:
    """What is wrong and what to do, for an error inside of `hub_errors`."""
    from huggingface_hub import errors

    response = getattr(error, "response", None)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so that the hub is not contacted; unset it"
    if isinstance(error, errors.LocalEntryNotFoundError):
        if isinstance(error.__cause__, errors.OfflineModeIsEnabled):
            return (
                "HF_HUB_OFFLINE is set and the files are not in the cache; unset it, or download them on another"
                " machine with `vireid pull` and load that folder"
            )
        return f"the hub cannot be reached, and the files are not in the cache ({_line(error.__cause__ or error)})"
    if isinstance(error, errors.GatedRepoError):
        return f"access must be granted by its owner: accept the conditions on its page and {_LOGIN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return "this revision does not exist; check the branch, tag or commit"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"does not exist, or it is private and the access token cannot read it; check the name, or {_LOGIN}"
    if isinstance(error, errors.HfHubHTTPError) and response is not None:
        return _refused(int(response.status_code), str(error.server_message or ""))
    if isinstance(error, errors.HTTPError):  # type: ignore[attr-defined]
        return f"the hub cannot be reached ({_line(error)}); check the connection and HF_ENDPOINT"
    return f"failed: {_line(error.__cause__ or error)}"


def _refused(status: int, message: str) -> str:
    advice = _BY_STATUS.get(status, "try again later" if status >= 500 else "")
    said = " ".join(message.split())
    return f"the hub answered with status {status}{f' ({said})' if said else ''}{f': {advice}' if advice else ''}"


def _line(error: BaseException) -> str:
    """The class and the text of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
