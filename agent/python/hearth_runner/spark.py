"""The way into the driver's JVM: PySpark, attached to the SparkContext that is there and to this session's own SparkSession."""

import importlib.util
import json
import logging
import os
import sys
import warnings

# The agent's side of this module: hearth.agent.python.PythonSessions.
_SESSIONS = "hearth.agent.python.PythonSessions"


def load():
    """Imports what a session needs of PySpark; done before there is a SparkContext, beside Spark's own start.

    @throws ImportError where this Python has no PySpark and SPARK_HOME does not give it one
    """
    _find()
    import py4j.clientserver  # noqa: F401
    import pyspark.sql  # noqa: F401
    import pyspark.sql.functions  # noqa: F401


def _find():
    """Puts the PySpark of SPARK_HOME first on the path: one of another version could not speak with this JVM."""
    home = os.environ.get("SPARK_HOME")
    if not home:
        return
    own = importlib.util.find_spec("pyspark")
    if own and own.origin and os.path.realpath(os.path.dirname(own.origin)) == os.path.realpath(home):
        return  # installed as a package into this very Python
    folder, libraries = os.path.join(home, "python"), os.path.join(home, "python", "lib")
    if not os.path.isdir(libraries):
        return
    names = [name for name in sorted(os.listdir(libraries)) if name.endswith(".zip")]
    paths = [os.path.join(libraries, name) for name in names if name.startswith("py4j-")]
    if os.path.isfile(os.path.join(folder, "pyspark", "__init__.py")):
        paths.insert(0, folder)  # with compiled files beside the sources, so faster than the zip
    elif "pyspark.zip" in names:
        paths.insert(0, os.path.join(libraries, "pyspark.zip"))
    sys.path[1:1] = paths


class Failed(Exception):
    """The agent answers with an error: `output` is what to show for it."""

    def __init__(self, output):
        super().__init__(output["evalue"])
        self.output = output


class Spark:
    """PySpark in this process. Frames and queries are shown by the agent, in the same way for all languages."""

    def __init__(self, port, secret, statement, interrupts):
        """Connects to the JVM, which need not have a SparkContext yet.

        @param port, secret  of the Py4J server that the agent has started for this process
        @param statement     function that gives the number of the running statement, or None
        """
        from pyspark.java_gateway import launch_gateway

        # By way of the environment, which is the only one PySpark has, and not a moment longer: programs inherit it.
        os.environ.update(PYSPARK_GATEWAY_PORT=str(port), PYSPARK_GATEWAY_SECRET=secret, PYSPARK_PIN_THREAD="true")
        try:
            self._gateway = launch_gateway()
        finally:
            del os.environ["PYSPARK_GATEWAY_PORT"], os.environ["PYSPARK_GATEWAY_SECRET"]
        self._statement = statement
        self._interrupts = interrupts
        self.context = None
        self.session = None

    @property
    def _sessions(self):
        return self.agent(_SESSIONS)

    def agent(self, name):
        """An object of the agent's, by its full name."""
        found = self._gateway.jvm
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def open(self, number):
        """Binds to the SparkContext and to the SparkSession of session `number`. (PySpark makes that the default of the whole JVM;
        the agent undoes it.)"""
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession

        from hearth_runner.gateway import group_each_statement  # needs Py4J, which `load` has found

        self.number = number
        jsc = self._sessions.context()
        conf = SparkConf(_jvm=self._gateway.jvm, _jconf=jsc.getConf())
        self.context = SparkContext(gateway=self._gateway, jsc=jsc, conf=conf)
        self._interrupts.install()  # SparkContext's own handler cancels the jobs of every session
        _quieten()
        self.session = SparkSession(self.context, self._sessions.session(number))
        group_each_statement(self._gateway._gateway_client, _SESSIONS, number, self._statement, self._interrupts)

    def table(self, frame, max_rows):
        """The first rows as Livy's table: data, columns and what is left out.

        @throws Failed, and what PySpark raises when the frame cannot be computed
        """
        return _parts(self._sessions.table(frame._jdf, max_rows))

    def json(self, frame, max_rows):
        """The first rows as a list of objects: like `table`."""
        return _parts(self._sessions.json(frame._jdf, max_rows))

    def sql(self, query, max_rows):
        """The first rows of a query's result as in an SQL session: like `table`."""
        return _parts(self._sessions.sql(self.number, query, max_rows))

    def columns(self, frame):
        return json.loads(self._sessions.columns(frame._jdf))

    def names(self):
        """What user code finds without importing it."""
        from pyspark.sql import HiveContext, SQLContext

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sql_context = SQLContext(self.context, self.session)
        return {"spark": self.session, "sc": self.context, "sqlContext": sql_context, "HiveContext": HiveContext}


def _parts(reply):
    reply = json.loads(reply)
    if reply["output"]["status"] == "error":
        raise Failed(reply["output"])
    return reply["output"]["data"], reply["columns"], reply["truncated"]


def _quieten():
    """Spark 4 prints each analysis error as a line of JSON, besides raising it."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:
        return
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL + 1)
