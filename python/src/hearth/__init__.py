"""Client of Hearth: Spark as a service.

```python
import hearth

client = hearth.connect("https://hearth.example.com:8998", auth="hearth_…")
with client.create_session("pyspark") as session:
    session.run("print(spark.range(1000).count())")
```

`hearth.aio` has the same calls to be awaited.
"""

from ._auth import Basic, Bearer, Certificate, Cookie, Kerberos
from ._batch import Batch
from ._client import AsyncClient, Client, connect
from ._context import Context
from ._display import Ending, Output, Progress
from ._errors import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    GoneError,
    HearthError,
    InvalidRequestError,
    MissingExtraError,
    NoTableError,
    NotFinishedError,
    NotFoundError,
    ServerError,
    SessionEndedError,
    StatementCancelledError,
    StatementError,
    TooLargeError,
    TooManyRequestsError,
    UnavailableError,
    UnreachableError,
    WaitTimeoutError,
)
from ._handle import Handle
from ._records import (
    BatchInfo,
    ContextInfo,
    EndedBy,
    Grant,
    HandleInfo,
    Login,
    NewToken,
    Resources,
    SessionInfo,
    StatementInfo,
    Token,
)
from ._session import Session
from ._shared_rdd import SharedRdd
from ._statement import Statement
from ._table import Column, Table
from ._version import __version__

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "AsyncClient",
    "AuthenticationError",
    "Basic",
    "Batch",
    "BatchInfo",
    "Bearer",
    "Certificate",
    "Client",
    "Column",
    "ConfigurationError",
    "ConflictError",
    "Context",
    "ContextInfo",
    "Cookie",
    "EndedBy",
    "Ending",
    "GoneError",
    "Grant",
    "Handle",
    "HandleInfo",
    "HearthError",
    "InvalidRequestError",
    "Kerberos",
    "Login",
    "MissingExtraError",
    "NewToken",
    "NoTableError",
    "NotFinishedError",
    "NotFoundError",
    "Output",
    "Progress",
    "Resources",
    "ServerError",
    "Session",
    "SessionEndedError",
    "SessionInfo",
    "SharedRdd",
    "Statement",
    "StatementCancelledError",
    "StatementError",
    "StatementInfo",
    "Table",
    "Token",
    "TooLargeError",
    "TooManyRequestsError",
    "UnavailableError",
    "UnreachableError",
    "WaitTimeoutError",
    "__version__",
    "connect",
]
