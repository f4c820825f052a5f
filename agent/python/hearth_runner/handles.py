"""Handles: data of the context that have a name, by which every session knows them, in every language, and programs outside too.

The agent's side is hearth.agent.handle.PythonHandles; values go there and back as pickles that both sides read.
"""

import json
import pickle

# The agent's side of this module.
_HANDLES = "hearth.agent.handle.PythonHandles"
# The pickle that the JVM reads.
_PROTOCOL = 4
_STORAGE = "MEMORY_AND_DISK"


class HandleError(Exception):
    """Something could not be done with a handle; the text says why, and the way out.

    code  `not_found`, `not_pairs`, `bad_key`, `bad_value`, `bad_columns`, `lost` or `failed`
    """

    __module__ = "builtins"  # so that it is shown without the name of ours

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class SharedRdd:
    """A key-value RDD that all sessions of the context know by its name.

    Each call works on the version that is the newest at that moment. Keys are strings, whole numbers, floats, booleans, bytes, or tuples
    of at most 22 of these; values are these, and lists, dicts, sets, Rows, decimals, dates, timedeltas and datetimes, which are without a
    zone or of a fixed offset such as UTC. What is put has to fit into the columns that the first values have made.
    """

    def __init__(self, handles, name, share=None):
        self._handles = handles
        self._name = name
        self._share = share

    @property
    def name(self):
        """Its name; without one given it is known by the variable that holds it."""
        if self._name is None:
            self._handles.settle()
        if self._name is None:
            raise HandleError(
                "failed", "this key-value RDD has no name yet: keep it in a variable of its own, or give a name, as in ShareableRdd(rdd, 'states')")
        return self._name

    def get(self, key):
        """The entry of a key, as {key: value}; {} if there is none. Reads one partition."""
        return self.get_all([key])

    def get_all(self, keys):
        """The entries of those of the keys that there are."""
        keys = [_key(key) for key in keys]
        found = dict(_read(self._handles.call("get", self.name, _write(keys))))
        # Under the keys that were asked for: a key that is a whole number stays one.
        return {key: found[key] for key in keys if key in found}

    def put(self, entries):
        """Puts the entries of a dict and returns the number of the version that has them."""
        return self._handles.call("put", self.name, _write([(_key(key), value) for key, value in dict(entries).items()]))

    def delete(self, *keys):
        """Deletes entries and returns the number of the version without them."""
        return self._handles.call("delete", self.name, _write([_key(key) for key in keys]))

    def take(self, n):
        """At most n entries, as a list of pairs."""
        return _read(self._handles.call("take", self.name, n))

    def count(self):
        return self._handles.call("count", self.name)

    def schema(self):
        """Types of key and value."""
        from pyspark.sql.types import StructType

        return StructType.fromJson(json.loads(self._handles.call("schema", self.name)))

    @property
    def version(self):
        return self._handles.call("version", self.name)

    def rdd(self):
        """All entries of the version that is the newest now, as pairs."""
        return self._handles.rdd(self.name)

    def df(self):
        """The same as a frame with the columns `key` and `value`."""
        return self._handles.frame(self.name)

    def unshare(self):
        self._handles.call("unshare", self.name)

    def __repr__(self):
        return "SharedRdd(%s)" % ("without a name" if self._name is None else repr(self._name))


class Namespace:
    """What user code knows as `hearth`: the data of the context that have a name."""

    def __init__(self, handles):
        self._handles = handles

    def share(self, obj, name, storage=_STORAGE, force=False, ttl=None, durable=False):
        """Gives a DataFrame, an RDD or a small value a name by which every session of the context knows it, in every language.

        storage  one of Spark's storage levels, by its name
        force    computes it before it is shared
        ttl      seconds that it lives; None: as long as the context
        durable  writes it to the handle store too, so that it is there after the end of the application
        """
        self._handles.share(obj, name, self._handles.options(storage, force, ttl, durable))

    def shared(self, name):
        """What has this name: a DataFrame, an RDD, a SharedRdd or the value. `context/name` is the DataFrame of another context's."""
        return self._handles.shared(name)

    def df(self, name):
        """As a DataFrame; all kinds but values have columns."""
        return self._handles.frame(name)

    def unshare(self, name):
        self._handles.call("unshare", name)

    def handles(self):
        """What there is: name, kind, version, columns and more of each, newest version only."""
        return json.loads(self._handles.call("list"))

    def get_or_else_create(self, name, make, timeout=600, storage=_STORAGE, force=False, ttl=None, durable=False):
        """What has this name; if nothing has, `make()` makes it, in one session of the context only, and all others wait for that.

        timeout  seconds to wait for another session that makes it
        The others are those of `share`, for what is made.
        """
        creation = self._handles.call("begin", name, int(timeout * 1000))
        if creation:
            try:
                self.share(make(), name, storage, force, ttl, durable)
            except BaseException as error:
                self._handles.call("end", creation, name, "%s: %s" % (type(error).__name__, error))
                raise
            self._handles.call("end", creation, name, None)
        return self.shared(name)

    getOrElseCreate = get_or_else_create


class Handles:
    """The way to the agent, and what waits for the name of a variable.

    spark      hearth_runner.spark.Spark
    variables  the namespace of user code
    """

    def __init__(self, spark, variables):
        self._spark = spark
        self._variables = variables
        self._nameless = []

    def names(self):
        """What user code finds without importing it."""
        return {"hearth": Namespace(self), "ShareableRdd": self.shareable_rdd, "SharedRdd": self.shared_rdd, "HandleError": HandleError}

    def shareable_rdd(self, rdd, name=None, storage=_STORAGE, force=False, ttl=None, durable=False):
        """Makes a key-value handle of an RDD of pairs. Without a name it is known by the variable that holds it."""
        if not _is_rdd(rdd):
            raise HandleError("bad_value", "ShareableRdd takes an RDD of pairs, not a %s: hearth.share(obj, name) takes other things" % type(rdd).__name__)
        options = self.options(storage, force, ttl, durable)
        made = SharedRdd(self, name, lambda name: self.call("sharePairs", name, options, _pickled(rdd)))
        if name is None:
            self._nameless.append(made)
        else:
            made._share(name)
        return made

    def shared_rdd(self, address, name=None):
        """A key-value handle by its name; or by the address of this context or of a session of it, with or without https://, and its name."""
        if name is not None:
            self.call("checkAddress", address, name)
        else:
            name = address
        if self.call("kind", name) != "pairs":
            raise HandleError("not_pairs", "the handle %s has no keys: read it by hearth.shared(name)" % name)
        return SharedRdd(self, name)

    def settle(self):
        """Gives those without a name that of the variable that holds them."""
        waiting, self._nameless = self._nameless, []
        for made in waiting:
            name = next((name for name, value in list(self._variables.items()) if value is made and name != "_"), None)
            if name is None:
                self._nameless.append(made)
            else:
                made._share(name)
                made._name = name

    def options(self, storage, force, ttl, durable):
        return self._agent().options(storage, force, -1 if ttl is None else int(ttl * 1000), durable)

    def share(self, obj, name, options):
        from pyspark.sql import DataFrame

        if isinstance(obj, SharedRdd):
            if obj not in self._nameless:
                raise HandleError("failed", "%r is shared already: share its rdd() to give the same data another name" % obj)
            self._nameless.remove(obj)
            obj._share(name)
            obj._name = name
        elif isinstance(obj, DataFrame):
            self.call("shareFrame", name, options, obj._jdf)
        elif _is_rdd(obj):
            self.call("shareRdd", name, options, _pickled(obj))
        else:
            self.call("shareValue", name, options, _write(obj))

    def shared(self, name):
        if "/" in name:
            return self.frame(name)
        kind = self.call("kind", name)
        if kind == "dataframe":
            return self.frame(name)
        if kind == "rdd":
            return self.rdd(name)
        return SharedRdd(self, name) if kind == "pairs" else _read(self.call("value", name))

    def frame(self, name):
        from pyspark.sql import DataFrame

        return DataFrame(self.call("frame", name), self._spark.session)

    def rdd(self, name):
        from pyspark import RDD
        from pyspark.serializers import AutoBatchedSerializer, CPickleSerializer

        return RDD(self.call("rdd", name), self._spark.context, AutoBatchedSerializer(CPickleSerializer()))

    def call(self, method, *arguments):
        """@throws HandleError"""
        from py4j.protocol import Py4JJavaError

        try:
            return getattr(self._agent(), method)(self._spark.number, *arguments)
        except Py4JJavaError as error:
            if error.java_exception.getClass().getSimpleName() != "HandleException":
                raise
            failure = HandleError(error.java_exception.getCode(), error.java_exception.getMessage())
        raise failure

    def _agent(self):
        return self._spark.agent(_HANDLES)


def _is_rdd(obj):
    from pyspark import RDD

    return isinstance(obj, RDD)


def _pickled(rdd):
    return rdd._pickled()._jrdd


def _key(key):
    """A key as the entries come back under it.

    raises HandleError `bad_key` for a text that no other language can have
    """
    if type(key) is tuple:
        return tuple(_key(part) for part in key)
    if isinstance(key, bytearray):
        return bytes(key)
    if isinstance(key, str):
        try:
            key.encode()
        except UnicodeEncodeError:
            raise HandleError("bad_key", "%a has half of a character (a surrogate alone), which no other language has: make it bytes" % key) from None
    return key


def _write(value):
    try:
        return bytearray(pickle.dumps(value, _PROTOCOL))
    except Exception as error:
        raise HandleError("bad_value", "a %s cannot go from one language to another: %s" % (type(value).__name__, error)) from None


def _read(data):
    return pickle.loads(bytes(data))
