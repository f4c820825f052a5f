"""Real clients of Livy, unmodified, against a gateway: `clients.py CLIENT URL FOLDER`. An assertion that fails is the verdict."""

import os
import sys


def pylivy(url, folder):
    from livy import LivyBatch, LivySession
    from livy.models import SessionKind, SessionState, SparkRuntimeError

    with LivySession.create(url, kind=SessionKind.PYSPARK, name="pylivy", spark_conf={"spark.x": 1}, echo=False) as session:
        assert session.run("print('out')\n6 * 7").text == "out\n42"
        session.run("df = spark.createDataFrame([(1, 'a'), (2, 'b')], ['n', 's'])")
        assert session.download("df").to_dict("list") == {"n": [1, 2], "s": ["a", "b"]}
        try:
            session.run("1/0")
            raise AssertionError("an error is raised")
        except SparkRuntimeError as error:
            assert error.ename == "ZeroDivisionError", error
            assert any("ZeroDivisionError" in line for line in error.traceback), error.traceback
        assert session.run("%json {}".format("df")).json == [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}]
    with LivySession.create(url, kind=SessionKind.SQL, echo=False) as session:
        frame = session.download_sql("select 1 as one, 'x' as two")
        assert frame.to_dict("list") == {"one": [1], "two": ["x"]}
    assert LivySession(url, 0).client.get_session(0) is None, "a closed session is gone"

    program = os.path.join(folder, "program.py")
    with open(program, "w") as file:
        file.write("import sys\nprint('arguments', sys.argv[1:])\n")
    batch = LivyBatch.create(url, program, args=["a", "b c"], name="pylivy-batch")
    assert batch.wait() == SessionState.SUCCESS
    assert "arguments ['a', 'b c']" in batch.log(from_=0, size=500)
    batch.kill()


def sparkmagic(url, folder):
    os.environ["SPARKMAGIC_CONF_DIR"] = folder
    from IPython.core.interactiveshell import InteractiveShell
    from sparkmagic.livyclientlib.command import Command
    from sparkmagic.livyclientlib.endpoint import Endpoint
    from sparkmagic.livyclientlib.sparkcontroller import SparkController
    from sparkmagic.livyclientlib.sqlquery import SQLQuery
    from sparkmagic.utils import configuration

    class Display:
        def __getattr__(self, name):
            return lambda *words, **named: None

    InteractiveShell.instance()
    configuration.override("livy_session_startup_timeout_seconds", 240)
    controller = SparkController(Display())
    endpoint = Endpoint(url, None)
    for kind, code, shown in [("pyspark", "print('text')\n6 * 7", "text\n42"), ("spark", "val x = 6 * 7", "x: Int = 42")]:
        properties = {"kind": kind, "heartbeatTimeoutInSecond": 60, "conf": {"spark.x": "1"}}
        controller.add_session(kind, endpoint, False, properties)
        assert controller.get_app_id(kind)
        assert controller.get_spark_ui_url(kind)
        assert "SparkContext" in controller.get_logs(kind)
        ok, text, mime = controller.run_command(Command(code), kind)
        assert (ok, text.strip(), mime) == (True, shown, "text/plain"), (ok, text, mime)
        ok, text, _ = controller.run_command(Command("nosuch + 1"), kind)
        assert not ok and "nosuch" in text, text
        frame = controller.run_sqlquery(SQLQuery("select 1 as one, 'x' as two"), kind)
        assert frame.to_dict("list") == {"one": [1], "two": ["x"]}, frame
        assert any(session.kind == kind for session in controller.get_all_sessions_endpoint(endpoint))
        controller.delete_session_by_name(kind)
    controller.cleanup()


def livy_uploads(url, folder):
    from livy_uploads.commands import LivyRunCode
    from livy_uploads.endpoint import LivyEndpoint
    from livy_uploads.exceptions import LivyStatementError
    from livy_uploads.retry_policy import LinearRetryPolicy
    from livy_uploads.session import LivySession

    endpoint = LivyEndpoint(url)
    session = LivySession.create(endpoint, "uploads", kind="pyspark", ttl="2h")
    session.wait_ready(LinearRetryPolicy(240, 1.0))
    printed, value = session.apply(LivyRunCode("print('out')\n_ = [1, x]", vars={"x": "y"}, run_timeout=120))
    assert value == [1, "y"], value
    assert "out" in printed, printed
    try:
        session.apply(LivyRunCode("raise KeyError('k')"))
        raise AssertionError("an error is raised")
    except LivyStatementError as error:
        assert "KeyError" in str(error), error
    assert [each.session_name for each in LivySession.list(endpoint, page_size=1)] == ["uploads"]
    lines = next(session.follow())
    assert any("SparkContext" in line for line in lines), lines
    session.delete()
    session.wait_done(LinearRetryPolicy(60, 0.5))


if __name__ == "__main__":
    {"pylivy": pylivy, "sparkmagic": sparkmagic, "livy-uploads": livy_uploads}[sys.argv[1]](*sys.argv[2:])
    print("well")
