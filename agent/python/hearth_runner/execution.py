"""One statement: its code in, its outcome out."""

import builtins
import sys

from hearth_runner import bundle, cell, handles, magics, namespace, tables, tracebacks
from hearth_runner.spark import Failed


class Session:
    """The state that statements share: the namespace, what was imported from `__future__`, Spark."""

    def __init__(self, capture):
        self._capture = capture
        self._main = namespace.create()
        self._compiler = cell.Compiler()
        self._sources = cell.Sources()
        self._value = None
        self._displayed = magics.Result({})
        self._max_rows = 0
        self._handles = None
        self._magics = magics.Magics(self.names)
        self.names["display"] = self._display

    def open(self, spark):
        """Takes Spark in, under the names by which user code knows it."""
        self._magics = magics.Magics(self.names, spark)
        self.names.update(spark.names())
        self._handles = handles.Handles(spark, self.names)
        self.names.update(self._handles.names())

    @property
    def names(self):
        return self._main.__dict__

    def execute(self, number, code, max_rows, transcript):
        """Runs the code and returns the body of its `done`: `output`, `columns`, `truncated`."""
        file = cell.file_name(number)
        self._sources.remember(file, code)
        try:
            parts = self._compiler.parts(code, file)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            return _failed(tracebacks.brief(error, file))
        self._displayed = magics.Result({})
        self._max_rows = max_rows
        result = magics.Result({}, text=True)
        try:
            for part in parts:
                if isinstance(part, cell.Magic):
                    result = self._magics.run(part, max_rows)
                else:
                    result = self._run(part)
            if self._handles:
                self._handles.settle()
        except magics.Refused as refused:
            return _failed(tracebacks.brief(refused.error, file))
        except Failed as failed:
            return _failed(failed.output)
        except BaseException as error:  # SystemExit and KeyboardInterrupt end the statement, not the session
            return _failed(tracebacks.error(error, file))
        finally:
            self._value = None
        return self._done(result, transcript)

    def _run(self, part):
        self._value = None
        sys.displayhook = self._show
        for compiled in part.objects:
            exec(compiled, self.names)
        if self._value is None or not part.ends_in_value:
            return magics.Result({}, text=True)
        return magics.Result(bundle.rich(self._value), self._magics.columns(self._value), text=True)

    def _show(self, value):
        """What the interactive prompt does with the value of an expression."""
        if value is None:
            return
        builtins._ = self._value = value
        self._capture.show(repr(value) + "\n")

    def _display(self, *values):
        """`display(value, …)`: frames as tables, other values as they offer themselves. The last one of each MIME type is kept."""
        for value in values:
            if tables.is_frame(value):
                found = self._magics.table(value, self._max_rows)
                self._displayed.columns, self._displayed.truncated = found.columns, found.truncated
            else:
                print(value if isinstance(value, str) else repr(value))
                found = magics.Result(bundle.rich(value))
            self._displayed.data.update(found.data)

    def _done(self, result, transcript):
        self._capture.end()
        text = transcript.text()
        data = dict(self._displayed.data, **result.data)
        if text or result.text or not data:
            data["text/plain"] = text
        columns = self._displayed.columns if result.columns is None else result.columns
        truncated = self._displayed.truncated if result.truncated is None else result.truncated
        if truncated is None and transcript.dropped:
            reason = "%d bytes of output beyond the first %d were left out" % (transcript.dropped, transcript.limit)
            truncated = {"rows": None, "shown": 0, "reason": reason}
        return {"output": {"status": "ok", "data": data}, "columns": columns, "truncated": truncated}


def _failed(output):
    return {"output": output, "columns": None, "truncated": None}
