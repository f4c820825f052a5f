"""The client: a gateway, and the caller's way in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Callable, Optional, Union

from . import _lists
from ._address import Place, parse
from ._auth import Auth, Verify, scheme, tls
from ._batch import AsyncBatch, Batch
from ._blocking import Facade, blocking, drive, each
from ._context import AsyncContext, Context, create_session
from ._errors import ConfigurationError, NotFoundError
from ._exchange import Exchange
from ._handle import AsyncHandle, Handle
from ._records import BatchInfo, ContextInfo, HandleInfo, Login, NewToken, Resources, SessionInfo, Token, read
from ._request import Request, delete, get, path_of, post
from ._session import AsyncSession, Session
from ._transport import Asyncio, Blocking, Transport
from ._version import __version__

_LOCAL = "http://127.0.0.1:8998"
# Seconds that a gateway may be away.
PATIENCE = 60.0

Conf = Mapping[str, Union[str, int, float, bool]]
"""Spark conf."""


def exchange(
    url: Optional[str],
    auth: Auth,
    verify: Verify,
    do_as: Optional[str],
    patience: float,
    transport: Callable[..., Transport],
) -> tuple[Exchange, Optional[Place]]:
    """How a gateway is asked, and the session or context that its address goes on to name."""
    address, place = parse(url or os.environ.get("HEARTH_URL") or _LOCAL)
    shown, certificate = scheme(auth, address)
    options: dict[str, Any] = {
        "auth": shown,
        "headers": {"user-agent": f"hearth-python/{__version__}"},
        "params": {} if do_as is None else {"doAs": do_as},
        # A proxy of the environment knows no way to this machine's own addresses.
        "trust_env": not address.is_loopback,
    }
    if address.is_secure:
        options["verify"] = tls(verify, certificate)
    return Exchange(transport(**options), address, patience), place


class AsyncClient:
    """A gateway, as one person sees it. Calls are awaited; `Client` has the same that block."""

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        auth: Auth = None,
        verify: Verify = True,
        do_as: Optional[str] = None,
        patience: float = PATIENCE,
        transport: Callable[..., Transport] = Asyncio,
    ) -> None:
        """Makes no request yet. The parameters are those of `connect`."""
        self._exchange, _ = exchange(url, auth, verify, do_as, patience, transport)

    @property
    def url(self) -> str:
        """The gateway's address."""
        return self._exchange.address.base

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], e: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends its connections. Sessions and what runs in them go on."""
        await self._exchange.transport.close()

    async def whoami(self) -> Login:
        """Who the caller is."""
        return read(Login, await self._exchange.call(get("/login")))

    async def log_out(self) -> None:
        """Ends the login that Kerberos, a password or a browser has begun. Tokens stay what they are."""
        await self._exchange.call(delete("/login"))

    async def version(self) -> str:
        """The gateway's version."""
        return str((await self._exchange.call(get("/version")))["version"])

    async def create_session(
        self,
        kind: Optional[str] = None,
        *,
        name: Optional[str] = None,
        context: Union[str, AsyncContext, Context, None] = None,
        profile: Optional[str] = None,
        conf: Optional[Conf] = None,
        resources: Optional[Resources] = None,
        idle_timeout: Optional[str] = None,
        ttl: Optional[str] = None,
        heartbeat_seconds: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> AsyncSession:
        """A new session, idle. In a `with` it is stopped at the end.

        @param kind               `spark` (Scala), `pyspark`, `sql`; None: each statement says
        @param context            a context to live in, by name or id; None: one of its own, which ends with it
        @param profile            of its own context
        @param conf               Spark conf of its own context
        @param resources          what else its own context asks of Spark
        @param idle_timeout       it ends after this time without activity, such as `90s` or `1h`; `0s`: never
        @param ttl                it ends this long after its beginning, such as `8h`
        @param heartbeat_seconds  it ends after so long without a call on it
        @param timeout            seconds to wait until it is idle; a session that is not idle then is stopped, and it is `WaitTimeoutError`
        """
        options = {
            "kind": kind,
            "name": name,
            "context": context.id if isinstance(context, (AsyncContext, Context)) else context,
            "profile": profile,
            "resources": _resources(conf, resources),
            "idle_timeout": idle_timeout,
            "ttl": ttl,
            "heartbeat_seconds": heartbeat_seconds,
        }
        return await create_session(self._exchange, options, timeout)

    async def session(self, which: Union[int, str]) -> AsyncSession:
        """A session that is there: by name, by its number of the Livy door, or by id. A `with` leaves it running."""
        found = await self._found("sessions", which)
        return AsyncSession(self._exchange, read(SessionInfo, found))

    async def sessions(self, limit: Optional[int] = None, *, ended: bool = False) -> list[AsyncSession]:
        """The sessions that the caller may see, oldest first.

        @param ended  also those that ended long ago
        """
        found = await _lists.listed(self._exchange, "/sessions", {"all": ended}, limit)
        return [AsyncSession(self._exchange, read(SessionInfo, said)) for said in found]

    async def create_context(
        self,
        name: Optional[str] = None,
        *,
        profile: Optional[str] = None,
        conf: Optional[Conf] = None,
        resources: Optional[Resources] = None,
        ends_with_sessions: bool = False,
        idle_timeout: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> AsyncContext:
        """A new context, ready. In a `with` it is stopped at the end.

        @param ends_with_sessions  whether it ends with its last session
        @param idle_timeout        it ends after this time without activity, such as `1h`; `0s`: never
        @param timeout             seconds to wait until it is ready, then `WaitTimeoutError`; it goes on starting
        """
        options = {
            "name": name,
            "profile": profile,
            "resources": _resources(conf, resources),
            "idle_timeout": idle_timeout,
        }
        body: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        body["ends_with_sessions"] = ends_with_sessions
        said = await self._exchange.call(post("/contexts", body))
        context = AsyncContext(self._exchange, read(ContextInfo, said), is_own=True)
        await context.wait(timeout)
        return context

    async def context(self, which: str) -> AsyncContext:
        """A context that is there: by name or id. A `with` leaves it running."""
        return AsyncContext(self._exchange, read(ContextInfo, await self._found("contexts", which)))

    async def contexts(self, limit: Optional[int] = None) -> list[AsyncContext]:
        """The contexts that the caller may see, newest first."""
        found = await _lists.listed(self._exchange, "/contexts", None, limit)
        return [AsyncContext(self._exchange, read(ContextInfo, said)) for said in found]

    async def submit_batch(
        self,
        file: str,
        args: Sequence[str] = (),
        *,
        class_name: Optional[str] = None,
        name: Optional[str] = None,
        profile: Optional[str] = None,
        conf: Optional[Conf] = None,
        resources: Optional[Resources] = None,
    ) -> AsyncBatch:
        """Starts a jar or a Python file, and does not wait.

        @param file  an absolute path on the gateway's machine, or a URL
        """
        options = {"class_name": class_name, "name": name, "profile": profile, "resources": _resources(conf, resources)}
        body: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        said = await self._exchange.call(post("/batches", {**body, "file": file, "args": list(args)}))
        return AsyncBatch(self._exchange, read(BatchInfo, said))

    async def batch(self, which: Union[int, str]) -> AsyncBatch:
        """A batch that is there: by name, by its number of the Livy door, or by id."""
        return AsyncBatch(self._exchange, read(BatchInfo, await self._found("batches", which)))

    async def batches(self, limit: Optional[int] = None, *, ended: bool = False) -> list[AsyncBatch]:
        """The batches that the caller may see, oldest first.

        @param ended  also those that ended long ago
        """
        found = await _lists.listed(self._exchange, "/batches", {"all": ended}, limit)
        return [AsyncBatch(self._exchange, read(BatchInfo, said)) for said in found]

    async def handle(
        self, which: str, *, session: Union[int, str, None] = None, context: Optional[str] = None
    ) -> AsyncHandle:
        """A handle: by `context/name`, by its name with the session or context that it belongs to, or by id.

        @param session  by name, number of the Livy door, or id
        @param context  by name or id
        """
        if session is None and context is None:
            if _is_uuid(which):
                return AsyncHandle(
                    self._exchange, read(HandleInfo, await self._exchange.call(get(path_of("handles", which))))
                )
            context, slash, which = which.rpartition("/")
            if not slash:
                raise ConfigurationError(f"say whose {which!r} it is: 'context/{which}', or session=…, or context=…")
        place = Place("contexts", str(context)) if session is None else Place("sessions", str(session))
        return await AsyncHandle.find(self._exchange, finder(place, which))

    async def handles(self, limit: Optional[int] = None) -> list[AsyncHandle]:
        """The handles that the caller may see."""
        found = await _lists.listed(self._exchange, "/handles", None, limit)
        return [AsyncHandle(self._exchange, read(HandleInfo, said)) for said in found]

    async def create_token(self, name: str, *, scope: str = "manage", ttl: Optional[str] = None) -> NewToken:
        """A new API token of the caller; its `secret` is shown this once.

        @param scope  the most it may be used for: `view`, `attach` or `manage`
        @param ttl    how long it lives, such as `90d`; None: as long as the gateway allows
        """
        body = {"name": name, "scope": scope} if ttl is None else {"name": name, "scope": scope, "ttl": ttl}
        # Were it repeated after a lost answer, the secret would be lost and the name taken.
        return read(NewToken, await self._exchange.call(Request("POST", "/tokens", body=body, is_repeatable=False)))

    async def tokens(self) -> list[Token]:
        """The caller's tokens that are neither revoked nor over, newest first."""
        return [read(Token, said) for said in await _lists.listed(self._exchange, "/tokens")]

    async def revoke_token(self, token: Union[Token, str]) -> None:
        """Ends a token of the caller."""
        await self._exchange.call(delete(path_of("tokens", token.id if isinstance(token, Token) else token)))

    async def _found(self, sort: str, which: Union[int, str]) -> Any:
        """What the gateway says of one of its things, by any of the names that it has; one that has ended when none of that name lives."""
        if isinstance(which, str) and _is_uuid(which):
            return await self._exchange.call(get(path_of(sort, which)))
        number = int(which) if str(which).isdigit() else None
        ended: list[Any] = []
        listing = _lists.items(self._exchange, f"/{sort}")
        try:
            async for said in listing:
                if number is not None and said.get("livy_id") == number:
                    return said
                # A name is unique among the living.
                if said["name"] == which:
                    if said["ended_at"] is None:
                        return said
                    ended.append(said)
        finally:
            await listing.aclose()
        if ended:
            return max(ended, key=lambda said: str(said["created_at"]))
        path = path_of("api", "v1", sort)
        raise NotFoundError(404, "not_found", f"there is nothing of the name {which!r} that you may see", path)


def finder(place: Place, name: str) -> str:
    """The path that finds a handle by name."""
    return path_of(place.kind, place.name, "handles", name)


def _resources(conf: Optional[Conf], resources: Optional[Resources]) -> Optional[dict[str, Any]]:
    if conf is None and resources is None:
        return None
    asked: dict[str, Any] = dict(resources or {})
    if conf is not None:
        asked["conf"] = {**asked.get("conf", {}), **{key: _conf(value) for key, value in conf.items()}}
    return asked


def _conf(value: object) -> str:
    """A value of Spark conf as Spark writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


class Client(Facade[AsyncClient]):
    """A gateway, as one person sees it. Made by `connect`; threads may share it."""

    whoami = blocking(AsyncClient.whoami)
    log_out = blocking(AsyncClient.log_out)
    version = blocking(AsyncClient.version)
    create_session = blocking(AsyncClient.create_session, lambda awaited: Session(awaited))
    session = blocking(AsyncClient.session, lambda awaited: Session(awaited))
    sessions = blocking(AsyncClient.sessions, each(Session))
    create_context = blocking(AsyncClient.create_context, lambda awaited: Context(awaited))
    context = blocking(AsyncClient.context, lambda awaited: Context(awaited))
    contexts = blocking(AsyncClient.contexts, each(Context))
    submit_batch = blocking(AsyncClient.submit_batch, lambda awaited: Batch(awaited))
    batch = blocking(AsyncClient.batch, lambda awaited: Batch(awaited))
    batches = blocking(AsyncClient.batches, each(Batch))
    handle = blocking(AsyncClient.handle, lambda awaited: Handle(awaited))
    handles = blocking(AsyncClient.handles, each(Handle))
    create_token = blocking(AsyncClient.create_token)
    tokens = blocking(AsyncClient.tokens)
    revoke_token = blocking(AsyncClient.revoke_token)
    close = blocking(AsyncClient.close)
    __exit__ = blocking(AsyncClient.__aexit__)

    def __enter__(self) -> Client:
        return self

    @property
    def url(self) -> str:
        """The gateway's address."""
        return self._awaited.url


def connect(
    url: Optional[str] = None,
    *,
    auth: Auth = None,
    verify: Verify = True,
    do_as: Optional[str] = None,
    patience: float = PATIENCE,
) -> Client:
    """Connects to a gateway, and finds out whether it lets the caller in.

    @param url       such as `https://hearth.example.com:8998`; None: `HEARTH_URL`, else this machine's own
    @param auth      a token of Hearth or of an OpenID provider, a function that returns one, `(user, password)`, `hearth.Kerberos()`,
                     `hearth.Certificate(cert, key)`, `hearth.Cookie(value)`; None: `HEARTH_TOKEN` when that is set, else nothing; False: nothing
    @param verify    the gateway's CA as a PEM file or folder; True: the CAs that this machine knows; False: whoever answers is believed
    @param do_as     for whom to act, where the caller is a trusted proxy
    @param patience  seconds that the gateway may be away before a call fails
    """
    awaited = AsyncClient(url, auth=auth, verify=verify, do_as=do_as, patience=patience, transport=Blocking)
    try:
        drive(awaited.whoami())
    except BaseException:
        drive(awaited.close())
        raise
    return Client(awaited)
