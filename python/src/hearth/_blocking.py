"""Calls that block, made of the calls that are awaited: one implementation for both.

Over the transport that blocks, a coroutine never suspends: its first step is its last. A class whose calls block stands around the awaited one
and names its calls:

```python
class Session(Facade[AsyncSession]):
    stop = blocking(AsyncSession.stop)
    submit = blocking(AsyncSession.submit, lambda awaited: Statement(awaited))
```

Type checkers see the parameters and results of each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, TypeVar, cast, overload

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
R = TypeVar("R")
S = TypeVar("S")


class Facade(Generic[A_co]):
    """What stands around an awaited object."""

    def __init__(self, awaited: A_co) -> None:
        self._awaited = awaited

    def __repr__(self) -> str:
        return repr(self._awaited).replace("Async", "", 1)


def drive(step: Awaitable[R]) -> R:
    """The result of what never suspends."""
    steps = step.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return cast("R", done.value)
    raise RuntimeError("a call over the blocking transport has suspended")


@overload
def blocking(
    call: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Facade[A], P], R]: ...
@overload
def blocking(
    call: Callable[Concatenate[A, P], Coroutine[Any, Any, R]], into: Callable[[R], S]
) -> Callable[Concatenate[Facade[A], P], S]: ...
def blocking(call: Any, into: Optional[Callable[[Any], Any]] = None) -> Any:
    """The call that blocks until an awaited one is done; `into` makes its result an object whose calls block."""

    def blocked(self: Facade[Any], *words: Any, **named: Any) -> Any:
        result = drive(call(self._awaited, *words, **named))
        return result if into is None else into(result)

    return _as(blocked, call)


def steps(
    call: Callable[Concatenate[A, P], AsyncGenerator[R, None]],
) -> Callable[Concatenate[Facade[A], P], Generator[R, None, None]]:
    """The iterator that blocks for each step of an awaited one."""

    def stepped(self: Facade[A], *words: P.args, **named: P.kwargs) -> Generator[R, None, None]:
        generator = call(self._awaited, *words, **named)
        try:
            while True:
                try:
                    step = drive(generator.__anext__())
                except StopAsyncIteration:
                    return
                yield step
        finally:
            drive(generator.aclose())

    made: Callable[Concatenate[Facade[A], P], Generator[R, None, None]] = _as(stepped, call)
    return made


def each(into: Callable[[R], S]) -> Callable[[list[R]], list[S]]:
    """`into` for a list."""
    return lambda results: [into(result) for result in results]


def _as(made: Any, call: Any) -> Any:
    """Names, documentation and parameters are those of the awaited call."""
    functools.update_wrapper(made, call)
    signature = inspect.signature(call)
    returns = str(signature.return_annotation)
    returns = returns.replace(", None]", ", None, None]").replace("Async", "")
    made.__signature__ = signature.replace(return_annotation=returns)
    made.__annotations__ = {**call.__annotations__, "return": returns}
    made.__qualname__ = made.__qualname__.replace("Async", "")
    return made
