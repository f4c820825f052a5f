"""Contexts, batches and grants, against a real gateway."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import unittest
from datetime import datetime, timezone

import hearth


class Contexts(unittest.TestCase):
    def setUp(self) -> None:
        self.client = hearth.connect()
        self.addCleanup(self.client.close)

    def test_sessions_live_in_a_context_and_it_is_shared(self) -> None:
        with self.client.create_context("python-library", resources={"driver_memory": "1g"}) as context:
            self.assertEqual((context.state, self.client.context("python-library").id), ("ready", context.id))
            with context.create_session("pyspark", name="in-context") as first:
                second = self.client.create_session("sql", context="python-library")
                self.assertEqual({each.id for each in context.sessions()}, {first.id, second.id})
                first.run("spark.range(4).createGlobalTempView('four')", live=False, check=True)
                count = second.run("select count(*) from global_temp.four", live=False).table()
                self.assertEqual(count.rows, [(4,)])
            self.assertTrue(first.info.is_over)
            self.assertEqual(len(context.log(2)), 2)

            grant = context.grant("view", group="analysts", expires_in="1h")
            self.assertEqual([each.group for each in context.grants()], ["analysts"])
            self.assertEqual(context.revoke(grant).id, grant.id)
            self.assertEqual(context.grants(), [])
            with self.assertRaisesRegex(hearth.InvalidRequestError, "user or a group"):
                context.grant("view")
        self.assertEqual(context.state, "ended")
        self.assertIn("deleted", context.info.cause or "")

    def test_clocks_and_ends_are_told(self) -> None:
        name, me = "python-library-clocks", self.client.whoami().user
        context = self.client.create_context(name, profile="default", idle_timeout="1h")
        self.addCleanup(context.stop)
        self.assertIn(context.id, [each.id for each in self.client.contexts()])
        context.refresh()
        now = datetime.now(timezone.utc)
        self.assertTrue(context.info.ends_at and context.info.ends_at > now, context.info)
        session = context.create_session("pyspark", ttl="25s")
        self.assertTrue(session.info.ends_at and session.info.ends_at > now, session.info)

        # Its age ends it amid a statement, which is told as it runs.
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            lost = session.run("import time\ntime.sleep(600)")
        self.assertRegex(err.getvalue(), r"Hearth: the session ends at \d\d:\d\d:\d\d: .* \(its ttl is 25 s\)")
        self.assertEqual(lost.state, "cancelled")
        # Its statement is over before it is.
        session.stop()
        self.assertEqual(session.info.ended_by, {"user": None, "via": None, "clock": "ttl"})
        with self.assertRaisesRegex(hearth.GoneError, r"ended at 2.*age limit \(ttl\) of 25 s") as gone:
            session.submit("1")
        self.assertEqual((gone.exception.status, gone.exception.code), (410, "gone"))

        second = context.create_session("sql")
        context.restart()
        self.assertEqual((context.state, context.info.attempt), ("ready", 2))
        with self.assertRaisesRegex(hearth.GoneError, f"its context ended: it was restarted by {me}"):
            second.submit("select 1")
        context.stop()
        assert context.info.ended_by is not None
        self.assertEqual((context.info.ended_by["user"], context.info.ends_at), (me, None))
        with self.assertRaisesRegex(hearth.ConflictError, f"ended at 2.*it was deleted by {me}; restart it"):
            context.create_session("sql")
        # By its name it is found after its end, too, and begins again.
        found = self.client.context(name)
        self.assertEqual((found.id, found.state), (context.id, "ended"))
        found.restart()
        self.assertEqual(found.state, "ready")

    def test_a_batch_runs_to_its_end(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
            file.write("import sys\nprint('arguments', sys.argv[1:])\n")
        self.addCleanup(os.unlink, file.name)
        os.chmod(file.name, 0o644)
        batch = self.client.submit_batch(file.name, ["a", "b c"], name="python-library-batch")
        self.assertEqual(batch.wait(240), "success", batch.info)
        self.assertIn("arguments ['a', 'b c']", batch.log(1000))
        self.assertEqual(self.client.batch(batch.info.livy_id).id, batch.id)
        self.assertIn(batch.id, [each.id for each in self.client.batches()])
        batch.stop()
        self.assertTrue(batch.is_over)


if __name__ == "__main__":
    unittest.main()
