"""Sessions and statements, blocking, against a real gateway."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import unittest
import unittest.mock

import httpx

import hearth


class Sessions(unittest.TestCase):
    client: hearth.Client
    session: hearth.Session

    @classmethod
    def setUpClass(cls) -> None:
        cls.client = hearth.connect()
        cls.addClassCleanup(cls.client.close)
        cls.session = cls.client.create_session("pyspark", name="python-library", conf={"spark.ui.enabled": True})
        cls.addClassCleanup(cls.session.stop)

    def setUp(self) -> None:
        # A shell that started this in the background has told it to ignore Ctrl-C.
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))

    def run_shown(self, code: str, progress: bool = False) -> tuple[hearth.Statement, str, str]:
        """Runs code; what was printed here on both streams."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            statement = self.session.run(code, progress=progress)
        return statement, out.getvalue(), err.getvalue()

    def test_who_am_i(self) -> None:
        self.assertEqual(self.client.whoami().scheme, "local")
        self.assertRegex(self.client.version(), r"^\d+\.\d+")

    def test_output_comes_as_it_is_printed_and_the_result_last(self) -> None:
        statement, out, err = self.run_shown("import sys\nprint('one')\nprint('odd', file=sys.stderr)\n6 * 7")
        self.assertEqual((out, err), ("one\n42\n", "odd\n"))
        self.assertEqual(statement.text, "one\n42\nodd")
        self.assertIs(statement.result().error, None)

        # The first piece is here long before the end.
        steps = self.session.submit("import time\nprint('early')\ntime.sleep(30)").follow()
        first = next(steps)
        assert isinstance(first, hearth.Output)
        self.assertEqual(first.text, "early\n")
        steps.close()
        newest = self.session.statements(1, newest_first=True)[0]
        self.assertEqual(newest.state, "running")
        newest.cancel(wait=30)
        self.assertEqual(newest.state, "cancelled")
        with self.assertRaises(hearth.StatementCancelledError):
            newest.result()

    def test_much_output_comes_whole_and_once(self) -> None:
        code = "import time\nfor n in range(2000):\n    print('line', n)\n    if n % 200 == 0: time.sleep(0.1)"
        pieces: list[hearth.Output] = []
        statement = self.session.run(code, live=pieces.append)
        self.assertEqual("".join(piece.text for piece in pieces), "".join(f"line {n}\n" for n in range(2000)))
        self.assertEqual([p.seq for p in pieces], sorted({p.seq for p in pieces}))
        self.assertTrue(statement.is_over)

    def test_jobs_move_a_bar(self) -> None:
        code = "import time\nspark.sparkContext.parallelize(range(8), 8).map(lambda n: time.sleep(0.4)).count()"
        _, out, err = self.run_shown(code, progress=True)
        self.assertEqual(out, "8\n")
        self.assertRegex(err, r"\[=+ *\] \d+%, \d of 8 tasks")

    def test_a_failure_is_raised_by_result_alone(self) -> None:
        statement, out, err = self.run_shown("print('before')\n1 / 0")
        self.assertEqual(out, "before\n")
        self.assertIn("ZeroDivisionError: division by zero", err)
        with self.assertRaises(hearth.StatementError) as raised:
            statement.result()
        error = raised.exception
        self.assertEqual((error.ename, error.evalue), ("ZeroDivisionError", "division by zero"))
        self.assertTrue(error.traceback)
        with self.assertRaises(hearth.StatementError):
            self.session.run("1 / 0", live=False, check=True)

    def test_ctrl_c_cancels_the_statement(self) -> None:
        for live in (True, False):
            began = threading.Event()
            code = "import time\nprint('began')\ntime.sleep(60)"

            def interrupt(began: threading.Event = began, live: bool = live) -> None:
                if live:
                    began.wait(60)
                else:
                    # Nothing is told here of what runs: another client looks until it does.
                    with hearth.connect() as other:
                        statements = other.session(self.session.id).statements
                        while statements(1, newest_first=True)[0].state != "running":
                            pass
                os.kill(os.getpid(), signal.SIGINT)

            def told(_: hearth.Output, began: threading.Event = began) -> None:
                began.set()

            thread = threading.Thread(target=interrupt)
            thread.start()
            with self.assertRaises(KeyboardInterrupt):
                self.session.run(code, live=told if live else False)
            thread.join()
            newest = self.session.statements(1, newest_first=True)[0]
            newest.wait(30)
            self.assertEqual(newest.state, "cancelled", f"live: {live}")

    def test_ctrl_c_while_the_code_is_sent_leaves_nothing_running(self) -> None:
        before = self.session.submit("1").number
        transport = self.session._awaited._exchange.transport
        send = transport.send
        cut: list[httpx.Request] = []

        async def interrupted(request: httpx.Request, *, is_stream: bool) -> httpx.Response:
            answer = await send(request, is_stream=is_stream)
            if not cut:
                cut.append(request)
                raise KeyboardInterrupt
            return answer

        with unittest.mock.patch.object(transport, "send", interrupted), self.assertRaises(KeyboardInterrupt):
            self.session.run("import time\ntime.sleep(600)", live=False)
        newest = self.session.statements(1, newest_first=True)[0]
        self.assertEqual(newest.number, before + 1)
        newest.wait(60)
        self.assertEqual(newest.state, "cancelled")

    def test_tables(self) -> None:
        query = "select id, cast(id / 4 as decimal(20, 2)) as part, date'2020-01-02' as day from range(3)"
        frame = self.session.run(query, "sql", live=False).to_pandas()
        self.assertEqual(frame["id"].tolist(), [0, 1, 2])
        self.assertEqual([str(each) for each in frame["part"]], ["0.00", "0.25", "0.50"])
        self.session.run("frame = spark.range(3)", live=False, check=True)
        self.assertEqual(self.session.run("%table frame", live=False).table().rows, [(0,), (1,), (2,)])
        self.assertEqual(self.session.run("%json frame", live=False).json, [{"id": 0}, {"id": 1}, {"id": 2}])
        with self.assertRaises(hearth.NoTableError):
            self.session.run("frame", live=False).table()
        with self.assertWarns(UserWarning):
            self.assertEqual(len(self.session.run("select * from range(5000)", "sql", live=False).to_pandas()), 1000)

    def test_a_statement_goes_on_without_its_client(self) -> None:
        number = self.session.submit("import time\ntime.sleep(1)\n'done'").number
        with hearth.connect() as other:
            found = other.session("python-library").statement(number)
            with self.assertRaises(hearth.NotFinishedError):
                _ = found.text
            with self.assertRaises(hearth.WaitTimeoutError):
                found.wait(0)
            self.assertEqual(found.result(60).text, "'done'")

    def test_a_session_is_found_by_each_of_its_names(self) -> None:
        for which in (self.session.livy_id, str(self.session.livy_id), "python-library", self.session.id):
            with self.client.session(which) as found:
                self.assertEqual(found.id, self.session.id)
        # Whoever only attached has stopped nothing.
        self.session.refresh()
        self.assertFalse(self.session.info.is_over)
        self.assertIn(self.session.id, [each.id for each in self.client.sessions()])
        for which in ("nosuch", 10**6, "00000000-0000-0000-0000-000000000000"):
            with self.assertRaises(hearth.NotFoundError):
                self.client.session(which)
        self.assertIn("sparkContext", self.session.complete("spark.sparkCon"))
        self.assertEqual(len(self.session.log(3)), 3)

    def test_what_is_wrong_says_what(self) -> None:
        with self.assertRaisesRegex(hearth.InvalidRequestError, 'no profile "nosuch"; there are'):
            self.client.create_session("pyspark", profile="nosuch")
        with self.assertRaisesRegex(hearth.InvalidRequestError, "kind"):
            self.session.submit("1", "cobol")
        with self.assertRaisesRegex(hearth.ConflictError, "python-library"):
            self.client.create_session("pyspark", name="python-library")
        with self.assertRaisesRegex(hearth.UnreachableError, "does not answer"):
            hearth.connect("http://127.0.0.1:1")


if __name__ == "__main__":
    unittest.main()
