"""Requests and their answers: retries, errors, streams.

A request is sent again when the gateway says 503 (after its `Retry-After`), which means that nothing was begun. Where nobody knows whether it
was, it is sent again if a repeat does no harm: the connection was lost, or the gateway says 504, for a driver that was asked has not answered.
Requests that change something carry an `Idempotency-Key`, so that nothing is done twice. A gateway that has never answered is not waited for.
"""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Optional

import httpx

from . import _errors, _numbers
from ._address import Address
from ._errors import UnreachableError
from ._request import Request
from ._transport import Transport

# Seconds for the network itself, beyond what a request waits for.
_CONNECT, _SLACK, _WRITE = 10.0, 30.0, 120.0
# The gateway says 503 for what it has not begun, 504 for what may have been done. A proxy before it says 502 and 504 while it starts anew.
_AWAY = (502, 503, 504)
# Seconds between two tries.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Stream:
    """An answer that is read as it comes."""

    def __init__(self, transport: Transport, response: httpx.Response, address: Address) -> None:
        self._transport = transport
        self._response = response
        self._address = address

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Its head."""
        return self._response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Its body. `UnreachableError` when it breaks off."""
        try:
            async for chunk in self._transport.chunks(self._response):
                yield chunk
        except httpx.TransportError as e:
            raise UnreachableError(f"the connection to {self._address.base} was lost amid an answer: {e}") from e


class Exchange:
    """Asks the gateway."""

    def __init__(self, transport: Transport, address: Address, patience: float) -> None:
        """@param patience  seconds that a gateway may be away"""
        self.transport = transport
        self.address = address
        self._patience = patience
        self._has_answered = False
        # The keys of what has gone out and was not answered: the gateway may have taken it.
        self._open: set[Optional[str]] = set()

    def may_have_come(self, request: Request) -> bool:
        """Whether the gateway may have taken this request, which has been interrupted."""
        return request.key in self._open

    async def call(self, request: Request, *, patience: Optional[float] = None) -> Any:
        """The answer as JSON; None when it has no body.

        @param patience  seconds that the gateway may be away; None: as long as always
        """
        response = await self._send(request, is_stream=False, patience=patience)
        if not response.content:
            return None
        try:
            return _numbers.loads(response.content)
        except ValueError:
            raise self._error(request, response) from None

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """The answer as a stream, open within the `async with`."""
        response = await self._send(request, is_stream=True)
        try:
            yield Stream(self.transport, response, self.address)
        finally:
            await self.transport.shut(response)

    async def _send(self, request: Request, *, is_stream: bool, patience: Optional[float] = None) -> httpx.Response:
        """The answer, of which it is known that it is no error."""
        give_up: Optional[float] = None
        pause = _FIRST_PAUSE
        while True:
            retry_after: Optional[float] = None
            try:
                built = self._build(request)
                self._open.add(request.key)
                response = await self.transport.send(built, is_stream=is_stream)
                self._open.discard(request.key)
                if is_stream and not response.is_success:
                    await self.transport.read(response)
            except httpx.TransportError as e:
                if isinstance(e, (httpx.ConnectError, httpx.ConnectTimeout)):
                    self._open.discard(request.key)
                failure: Exception = self._unreachable(e)
                may_retry = request.is_repeatable and self._has_answered and not _is_final(e)
            else:
                self._has_answered = True
                if response.is_success:
                    return response
                failure = self._error(request, response)
                # What is said to be unavailable has not been begun.
                may_retry = response.status_code == 503 or (response.status_code in _AWAY and request.is_repeatable)
                retry_after = _errors.seconds(response.headers.get("retry-after"))
            now = time.monotonic()
            give_up = now + (self._patience if patience is None else patience) if give_up is None else give_up
            # Jitter keeps many clients of a gateway that comes back from coming all at once.
            rest = (pause if retry_after is None else retry_after) + random.uniform(0, pause)
            if not may_retry or now + rest > give_up:
                raise failure
            await self.transport.sleep(rest)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _build(self, request: Request) -> httpx.Request:
        headers = {"accept": request.accept, **request.headers}
        content = request.content
        if content is not None:
            headers["content-type"] = "application/json"
        if request.key is not None:
            headers["idempotency-key"] = request.key
        timeout = httpx.Timeout(connect=_CONNECT, read=request.wait + _SLACK, write=_WRITE, pool=None)
        url = self.address.base + request.target
        return self.transport.build(
            request.method, url, params=request.pairs, content=content, headers=headers, timeout=timeout
        )

    def _error(self, request: Request, response: httpx.Response) -> Exception:
        try:
            problem = json.loads(response.content)
        except ValueError:
            problem = None
        return _errors.of_answer(response.status_code, request.target, response.headers, problem, response.text)

    def _unreachable(self, e: httpx.TransportError) -> UnreachableError:
        where, tls = self.address.base, _tls_error(e)
        if tls is not None:
            return UnreachableError(
                f"{where} could not show who it is: {tls}\n"
                "Give connect() the CA of its certificate: verify='/path/to/ca.pem' (also SSL_CERT_FILE)."
            )
        return UnreachableError(
            f"{where} does not answer: {e or type(e).__name__}\n"
            "Is the address right (https:// or http://, the port), and does the gateway run?"
        )


def _is_final(e: httpx.TransportError) -> bool:
    return isinstance(e, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)) or _tls_error(e) is not None


def _tls_error(e: BaseException) -> Optional[ssl.SSLCertVerificationError]:
    """The refused certificate that led to an error."""
    cause: Optional[BaseException] = e
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause
