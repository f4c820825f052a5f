"""What can go wrong, each with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional


class HearthError(Exception):
    """Everything that this package raises on purpose."""


class ConfigurationError(HearthError, ValueError):
    """What was given to the library cannot work: an address, a credential, an environment variable."""


class MissingExtraError(HearthError, ImportError):
    """A package is not installed that only some calls need."""


class UnreachableError(HearthError, ConnectionError):
    """The gateway does not answer, or the connection was lost and did not come back."""


class WaitTimeoutError(HearthError, TimeoutError):
    """What was waited for has not happened in time. It goes on; wait again, or stop it."""


class SessionEndedError(HearthError):
    """A session or a context ended instead of becoming ready."""

    def __init__(self, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.log = list(log)
        """The last lines of its log."""


class NotFinishedError(HearthError):
    """The statement has not ended yet: call `result()` first, which waits."""


class NoTableError(HearthError):
    """The result is no table."""


class StatementError(HearthError):
    """The code of a statement has failed."""

    def __init__(self, ename: str, evalue: str, traceback: Sequence[str] = ()) -> None:
        super().__init__(f"{ename}: {evalue}" if evalue else ename)
        self.ename = ename
        """The name of the error, such as `ZeroDivisionError`."""
        self.evalue = evalue
        """Its message."""
        self.traceback = list(traceback)
        """The lines of its stack trace."""

    def __str__(self) -> str:
        summary = super().__str__()
        trace = "".join(line if line.endswith("\n") else line + "\n" for line in self.traceback).rstrip()
        # Python's traces end with it.
        return f"{summary}\n{trace.removesuffix(summary)}".rstrip()


class StatementCancelledError(StatementError):
    """The statement was cancelled."""


class ApiError(HearthError):
    """The gateway refused a request; the message says what was wrong and what to do.

    It is a problem document (RFC 9457).
    """

    hint = ""
    """What to do, beyond what the gateway says."""

    def __init__(self, status: int, code: str, detail: str, instance: str, retry_after: Optional[float] = None) -> None:
        super().__init__(f"{detail} ({status} {code}, {instance})" + (f"\n{self.hint}" if self.hint else ""))
        self.status = status
        """The HTTP status."""
        self.code = code
        """The sort of problem, for programs, such as `not_found`."""
        self.detail = detail
        """What is wrong, for people."""
        self.instance = instance
        """The path that was asked for."""
        self.retry_after = retry_after
        """Seconds after which a repeated request may go through, where the gateway says so."""


class InvalidRequestError(ApiError):
    """The request says something wrong."""


class AuthenticationError(ApiError):
    """Nobody has shown who is asking, or not by a credential that is good."""

    hint = (
        "Give connect() a credential: auth='hearth_…' (an API token, also HEARTH_TOKEN), auth=(user, password), "
        "auth=hearth.Kerberos(), auth=hearth.Certificate(cert, key), auth=hearth.Cookie(value), "
        "or a function that returns a bearer token."
    )


class AccessDeniedError(ApiError):
    """Seen, but not allowed."""

    hint = "Ask its owner for a grant, or use a credential of a wider scope."


class NotFoundError(ApiError):
    """There is no such thing, or none that the caller may see."""


class ConflictError(ApiError):
    """The state does not allow this, or the name is taken."""


class GoneError(ApiError):
    """What was asked for is over for good; the message says who or what ended it, when and why."""


class TooLargeError(ApiError):
    """More than the gateway takes or gives at once."""


class TooManyRequestsError(ApiError):
    """A limit is reached; `retry_after` says when to try again."""


class UnavailableError(ApiError):
    """Something that the gateway needs is away, and did not come back in time."""


class ServerError(ApiError):
    """A defect of the gateway; its log says more."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AccessDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: TooLargeError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: TooManyRequestsError,
    500: ServerError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
# Characters shown of an answer that is no problem document.
_SHOWN = 200


def of_answer(status: int, path: str, headers: Mapping[str, str], problem: Any, text: str) -> ApiError:
    """The error that an answer tells.

    @param problem  the answer as JSON, or None when it is something else
    """
    kind = _BY_STATUS.get(status, ApiError)
    after = seconds(headers.get("retry-after"))
    if isinstance(problem, dict) and "detail" in problem:
        code, path = str(problem.get("code", "error")), str(problem.get("instance", path))
        return kind(status, code, str(problem["detail"]), path, after)
    said = " ".join(text.split())[:_SHOWN] or "nothing"
    detail = f"this is not what a Hearth gateway answers; is the address right? It said: {said}"
    return kind(status, "unknown", detail, path, after)


def seconds(text: Optional[str]) -> Optional[float]:
    """The seconds of a `Retry-After`; None for a date, which the gateway never sends."""
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
