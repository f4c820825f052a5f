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


def airflow(url, folder):
    here = os.path.join(folder, "airflow")
    os.mkdir(here)
    os.environ.update(
        AIRFLOW_HOME=here,
        AIRFLOW_CONN_LIVY_DEFAULT=url.replace("http:", "livy:"),
        AIRFLOW__CORE__DAGS_FOLDER=os.path.join(os.path.dirname(__file__), "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        HEARTH_TEST_FOLDER=here,
    )
    programs = {
        "good": "import sys\nfor n in range(250):\n    print('line', n)\nprint('arguments', sys.argv[1:])\n",
        "bad": "print('before')\nraise SystemExit(3)\n",
        "late": "import time\ntime.sleep(600)\n",
    }
    for name, code in programs.items():
        with open(os.path.join(here, name + ".py"), "w") as file:
            file.write(code)
    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    import batches
    from airflow.providers.apache.livy.hooks.livy import BatchState, LivyHook
    from airflow.utils import db

    db.initdb()
    hook = LivyHook()
    for dag, ends in [("good", "success"), ("deferred", "success"), ("bad", "failed"), ("late", "failed")]:
        run = getattr(batches, dag).test()
        assert run.state == ends, f"{dag}: {run.state}"
        if ends == "success":
            batch = run.get_task_instances()[0].xcom_pull(task_ids="batch")
            assert hook.get_batch_state(batch) == BatchState.SUCCESS
            # By pages, as its own operator reads them: the last one is short or empty.
            lines, page = [], {"total": 0}
            while len(lines) <= page["total"] and (page := hook.get_batch_logs(batch, len(lines), 100))["log"]:
                lines += page["log"]
            assert "arguments ['a', '1', 'b c']" in lines, lines
            assert len(lines) == page["total"] > 250, page
            hook.delete_batch(batch)
    left = {each["name"]: each["state"] for each in hook.run_method("/batches").json()["sessions"]}
    assert left == {"bad": "dead"}, f"the one that was too late is stopped, and gone: {left}"


def emr_livy_mcp(url, folder):
    import asyncio
    import json
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Amazon(BaseHTTPRequestHandler):
        """Gives a name and a password for a minute, as EMR does; Hearth asks for none here, and must not mind."""

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"Credentials": {"UsernamePassword": {"Username": "u", "Password": "p"}}}')

        def log_message(self, *words):
            pass

    amazon = HTTPServer(("127.0.0.1", 0), Amazon)
    threading.Thread(target=amazon.serve_forever, daemon=True).start()
    os.environ.update(
        AWS_ENDPOINT_URL_EMR=f"http://127.0.0.1:{amazon.server_port}",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        EMR_CLUSTER_ID="j-1",
        EMR_ROLE_ARN="arn:aws:iam::1:role/x",
        LIVY_URL=url,
        LIVY_POLL_INTERVAL_SECONDS="1",
    )
    from emr_livy_mcp.server import mcp

    async def tool(name, **arguments):
        content, _ = await mcp.call_tool(name, arguments)
        return json.loads(content[0].text)

    async def talk():
        session = await tool("create_session", kind="pyspark")
        assert session["state"] == "idle" and session["app_id"], session
        here = {"reuse_session_id": session["session_id"], "poll_interval_seconds": 1}
        assert (await tool("run_query", code="print('out')\n6 * 7", **here))["output"] == "out\n42"
        failed = await tool("run_query", code="1/0", **here)
        assert failed["code"] == "STATEMENT_FAILED" and "division by zero" in failed["error"], failed
        assert (await tool("delete_session", session_id=session["session_id"]))["deleted"]
        assert (await tool("get_session", session_id=session["session_id"]))["code"] == "NOT_FOUND"
        refused = await tool("create_session", kind="sparkr")
        assert "no R interpreter" in refused["error"], refused

    asyncio.run(talk())


CLIENTS = {
    "pylivy": pylivy,
    "sparkmagic": sparkmagic,
    "livy-uploads": livy_uploads,
    "airflow": airflow,
    "emr-livy-mcp": emr_livy_mcp,
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](*sys.argv[2:])
    print("well")
