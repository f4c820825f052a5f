"""What the gateway says of its things, as plain data.

A field that a newer gateway adds is passed over; one that an older gateway does not know has its default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Optional, TypedDict, TypeVar

from ._errors import HearthError

R = TypeVar("R")


class Resources(TypedDict, total=False):
    """Memory, cores, files and conf that a Spark application asks for.

    Files are absolute paths on the gateway's machine, or URLs.
    """

    driver_memory: str
    driver_cores: int
    executor_memory: str
    executor_cores: int
    num_executors: int
    queue: str
    jars: list[str]
    py_files: list[str]
    files: list[str]
    archives: list[str]
    conf: dict[str, str]


@dataclass(frozen=True)
class Login:
    """Who the caller is."""

    user: str
    groups: list[str]
    tenant: str
    via: Optional[str]
    """The trusted proxy that speaks for the user."""
    scheme: str
    """How this was shown."""
    scope: str
    """The most that the credential may be used for: `view`, `attach` or `manage`."""


class EndedBy(TypedDict):
    """Who or what has ended something."""

    user: Optional[str]
    """Who told it to end."""
    via: Optional[str]
    """The trusted proxy that spoke for them."""
    clock: Optional[str]
    """`idle`, `ttl`, `heartbeat` or `context_idle`."""


@dataclass(frozen=True)
class SessionInfo:
    """A session."""

    id: str
    livy_id: int
    name: Optional[str]
    owner: str
    run_as: str
    """The identity that its code has on the cluster."""
    kind: str
    """`spark`, `pyspark`, `sql`, or `shared`: each statement says."""
    state: str
    """`starting`, `idle`, `busy`, `shutting_down`, `dead`, `killed` or `error`."""
    context: str
    """The context it lives in."""
    created_at: datetime
    ended_at: Optional[datetime] = None
    ends_at: Optional[datetime] = None
    """When a clock will end it (its idle timeout or ttl, or its context's) if nothing happens; None: none runs now."""
    waits: Optional[str] = None
    """Why it waits for its launch, and its place in the line."""
    cause: Optional[str] = None
    """Why it ended, or is ending."""
    ended_by: Optional[EndedBy] = None
    """Who or what ended it; None: nobody did, `cause` says what became of its driver."""
    app_id: Optional[str] = None
    ui_url: Optional[str] = None
    idle_timeout_ms: int = 0
    """It ends after so long without activity; 0: never."""
    ttl_ms: int = 0
    """It ends so long after its beginning; 0: never."""
    resources: Mapping[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    """The last lines of its context's log."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("dead", "killed", "error")


@dataclass(frozen=True)
class ContextInfo:
    """A context: a Spark application that sessions live in."""

    id: str
    name: Optional[str]
    owner: str
    run_as: str
    profile: str
    state: str
    created_at: datetime
    outlives_sessions: bool = True
    idle_timeout_ms: int = 0
    """It ends after so long without activity; 0: never."""
    shared_with: Optional[str] = None
    """Whose sessions come here without naming it: `user`, `group` or `service`, as its profile says."""
    attempt: Optional[int] = None
    """Which application of it this is, from 1; None before its first launch."""
    ready_at: Optional[datetime] = None
    ended_at: Optional[datetime] = None
    ends_at: Optional[datetime] = None
    """When its idle timeout will end it if nothing happens; None: that does not run now."""
    waits: Optional[str] = None
    """Why it waits for its launch, and its place in the line."""
    cause: Optional[str] = None
    """Why it ended, or is ending."""
    ended_by: Optional[EndedBy] = None
    """Who or what ended it; None: nobody did, `cause` says what became of its driver."""
    app_id: Optional[str] = None
    spark_version: Optional[str] = None
    ui_url: Optional[str] = None
    resources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state == "ended"


@dataclass(frozen=True)
class StatementInfo:
    """A statement."""

    session: str
    number: int
    kind: str
    code: str
    state: str
    """`waiting`, `running`, `cancelling`, `available` or `cancelled`."""
    progress: float
    created_at: datetime
    output: Optional[Mapping[str, Any]] = None
    columns: Optional[list[Mapping[str, Any]]] = None
    truncated: Optional[Mapping[str, Any]] = None
    """What was cut from the result: `rows` there were, `shown`, `reason`."""
    ran_us: Optional[int] = None
    """The interpreter's own time, microseconds."""
    started_at: Optional[datetime] = None
    completed_at: Optional[datetime] = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("available", "cancelled")


@dataclass(frozen=True)
class BatchInfo:
    """A batch: one `spark-submit`."""

    id: str
    livy_id: int
    name: Optional[str]
    owner: str
    run_as: str
    profile: str
    file: str
    state: str
    """`waiting`, `starting`, `running`, `shutting_down`, `success`, `dead` or `killed`."""
    created_at: datetime
    args: list[str] = field(default_factory=list)
    class_name: Optional[str] = None
    waits: Optional[str] = None
    cause: Optional[str] = None
    """Why it ended, unless in success."""
    ended_by: Optional[EndedBy] = None
    """Who ended it; None: nobody did."""
    exit_code: Optional[int] = None
    app_id: Optional[str] = None
    ui_url: Optional[str] = None
    started_at: Optional[datetime] = None
    ended_at: Optional[datetime] = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("success", "dead", "killed")


@dataclass(frozen=True)
class Grant:
    """What a user, or everybody in a group, may do with a thing that is not theirs."""

    id: str
    level: str
    user: Optional[str]
    group: Optional[str]
    created_by: str
    created_at: datetime
    identity_confirmed: bool = False
    created_via: Optional[str] = None
    expires_at: Optional[datetime] = None


@dataclass(frozen=True)
class Token:
    """An API token, without its secret."""

    id: str
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime
    last_used_at: Optional[datetime] = None
    """To the minute."""


@dataclass(frozen=True)
class NewToken(Token):
    """An API token that has just been made."""

    secret: str = field(default="", repr=False)
    """What to give `connect(auth=…)`. It is shown this once."""


@dataclass(frozen=True)
class HandleInfo:
    """A handle: a named RDD, DataFrame or value of a context."""

    id: str
    context: str
    context_name: Optional[str]
    name: str
    kind: str
    """`dataframe`, `rdd`, `pairs` (a key-value RDD) or `value`."""
    version: int
    state: str
    """`ready`, `lost` (with its driver; `reason` says why) or `gone`."""
    owner: str
    reason: Optional[str] = None
    columns: Optional[list[Mapping[str, Any]]] = None
    key: Optional[str] = None
    """The type of the keys of a key-value RDD."""
    partitions: Optional[int] = None
    storage: Optional[str] = None
    memory_bytes: Optional[int] = None
    disk_bytes: Optional[int] = None
    cached_fraction: Optional[float] = None
    ttl_ms: Optional[int] = None
    expires_at: Optional[datetime] = None
    durable: bool = False
    """Whether it lives on after its driver."""
    durable_version: Optional[int] = None
    """The version that is written, as which it opens again: what was put is durable once this has reached the put's version."""
    tenant: Optional[str] = None
    created_at: Optional[datetime] = None
    updated_at: Optional[datetime] = None
    created_by_session: Optional[str] = None
    created_by_statement: Optional[int] = None
    last_read_by: Optional[str] = None
    last_read_at: Optional[datetime] = None


def read(kind: type[R], said: Any) -> R:
    """A record of what the gateway said."""
    try:
        given = {f.name: said[f.name] for f in fields(kind) if f.name in said}  # type: ignore[arg-type]
        return kind(**{name: moment(value) if name.endswith("_at") else value for name, value in given.items()})
    except (TypeError, KeyError, ValueError) as e:
        raise HearthError(f"the gateway's answer is no {kind.__name__}: {e}; is it a Hearth of another version?") from e


_FRACTION = re.compile(r"\.(\d+)")


def moment(text: Optional[str]) -> Optional[datetime]:
    """A time of RFC 3339; digits beyond microseconds are left out."""
    if text is None:
        return None
    text = _FRACTION.sub(lambda found: "." + found.group(1)[:6].ljust(6, "0"), text)
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
