"""Contexts, batches and grants, against a real gateway."""

from __future__ import annotations

import os
import tempfile
import unittest

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
