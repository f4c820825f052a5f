"""Handles, read and written from outside, against a real gateway."""

from __future__ import annotations

import unittest

import pyarrow as pa

import hearth
from hearth import aio

_STATES = """
r = sc.parallelize([("ak", "Alaska"), ("ca", "California")])
states = ShareableRdd(r)
hearth.share(spark.range(100000).selectExpr("id", "cast(id / 4 as decimal(20, 2)) as part"), "numbers")
ShareableRdd(sc.parallelize([((1, "a"), 2**60), ((2, "b"), -1)]), "pairs_of_tuples")
"""


class Handles(unittest.TestCase):
    client: hearth.Client
    session: hearth.Session
    place: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.client = hearth.connect()
        cls.addClassCleanup(cls.client.close)
        cls.session = cls.client.create_session("pyspark", name="python-handles")
        cls.addClassCleanup(cls.session.stop)
        cls.session.run(_STATES, live=False, check=True)
        cls.place = f"{cls.client.url}/sessions/{cls.session.livy_id}"

    def test_a_shared_rdd_by_its_address(self) -> None:
        for url in (self.place, self.place.replace("http://", ""), f"{self.client.url}/sessions/python-handles"):
            with hearth.SharedRdd(url, "states") as states:
                self.assertEqual((states.kind, states.state), ("pairs", "ready"))
                self.assertEqual(states.get("ak"), {"ak": "Alaska"})
                self.assertEqual(states.get("zz"), {})
                self.assertEqual(states.get_all(["ca", "zz", "ak"]), {"ak": "Alaska", "ca": "California"})
        with self.assertRaises(hearth.NotFoundError):
            hearth.SharedRdd(self.place, "nosuch")
        with self.assertRaises(hearth.ConfigurationError):
            hearth.SharedRdd(self.client.url, "states")

    def test_what_is_put_is_there_and_what_is_deleted_is_not(self) -> None:
        states = self.session.handle("states")
        before = states.version
        put = states.put({"ny": "New York", "tx": "Texas"})
        self.assertGreater(put, before)
        self.assertEqual(states.get("ny"), {"ny": "New York"})
        self.assertEqual(self.session.run("states.get('tx')", live=False).text, "{'tx': 'Texas'}")
        self.assertGreater(states.delete("ny", "tx"), put)
        self.assertEqual(states.get_all(["ny", "tx"]), {})
        self.assertEqual(states.count(), 2)
        self.assertEqual(sorted(states.take(5)), [("ak", "Alaska"), ("ca", "California")])

    def test_keys_that_are_tuples(self) -> None:
        pairs = self.session.handle("pairs_of_tuples")
        self.assertEqual(pairs.get((1, "a")), {(1, "a"): 2**60})

    def test_a_frame_in_each_form(self) -> None:
        numbers = self.session.handle("numbers")
        self.assertEqual([(c.name, c.type) for c in numbers.schema()], [("id", "bigint"), ("part", "decimal(20,2)")])
        self.assertEqual(numbers.count(), 100000)
        self.assertEqual([str(row["part"]) for row in numbers.take(3)], ["0.00", "0.25", "0.50"])
        frame = numbers.to_pandas()
        self.assertEqual((len(frame), int(frame["id"].sum())), (100000, sum(range(100000))))
        table = numbers.to_arrow(columns=["id"], limit=10)
        self.assertEqual((table.num_rows, table.column_names), (10, ["id"]))
        self.assertEqual(numbers.to_polars().height, 100000)
        batches = list(numbers.iter_batches())
        self.assertGreater(len(batches), 1)
        self.assertEqual(pa.Table.from_batches(batches).num_rows, 100000)
        first = numbers.iter_batches()
        self.assertGreater(next(first).num_rows, 0)
        first.close()

    def test_handles_are_listed_shared_and_taken_away(self) -> None:
        self.session.run("hearth.share(spark.range(1), 'short')", live=False, check=True)
        short = self.session.handle("short")
        self.assertIn(short.id, [each.id for each in self.client.handles()])
        context = self.client.context(self.session.context_id)
        self.assertIn("short", [each.name for each in context.handles()])
        self.assertEqual(self.client.handle("short", session="python-handles").id, short.id)
        self.assertEqual(self.client.handle(short.id).name, "short")

        grant = short.grant("read", user="bob")
        self.assertEqual([(each.user, each.level) for each in short.grants()], [("bob", "read")])
        short.revoke(grant)
        self.assertEqual(short.grants(), [])

        short.unshare()
        with self.assertRaises(hearth.NotFoundError):
            self.session.handle("short")
        with self.assertRaises(hearth.HearthError):
            short.count()

    def test_what_is_shared_anew_is_found_again(self) -> None:
        code = "ShareableRdd(sc.parallelize([('k', 1)]), 'anew')"
        self.session.run(code, live=False, check=True)
        with hearth.SharedRdd(self.place, "anew") as anew:
            self.assertEqual(anew.get("k"), {"k": 1})
            self.session.run("hearth.unshare('anew')", live=False, check=True)
            with self.assertRaises(hearth.HearthError):
                anew.get("k")
            self.session.run(code.replace("1", "2"), live=False, check=True)
            self.assertEqual(anew.get("k"), {"k": 2})

    def test_a_change_that_is_to_outlive_its_driver(self) -> None:
        code = "r = sc.parallelize([('k', 1)])\nShareableRdd(r, 'brief')\nShareableRdd(r, 'kept', durable=True)"
        with self.client.create_context("python-durable") as context, context.create_session("pyspark") as session:
            session.run(code, live=False, check=True)
            kept = session.handle("kept")
            put = kept.put({"l": 2}, durable=True)
            kept.refresh()
            self.assertGreaterEqual(kept.info.durable_version or 0, put)
            self.assertGreater(kept.delete("k", durable=True, timeout=30), put)
            with self.assertRaises(hearth.WaitTimeoutError) as late:
                for n in range(100):
                    kept.put({"m": n}, durable=True, timeout=0)
            self.assertIn("not written yet", str(late.exception))
            self.assertGreater(kept.put({"m": 1}), put)
            with self.assertRaises(hearth.InvalidRequestError):
                session.handle("brief").put({"l": 2}, durable=True)
        with self.client.create_session("pyspark") as session:
            refused = session.run("hearth.share(spark.range(1), 'own', durable=True)", live=False)
            self.assertIn("last session", str(refused.error))


class Awaited(unittest.IsolatedAsyncioTestCase):
    async def test_the_same_calls(self) -> None:
        async with await aio.connect() as client, await client.create_session("pyspark") as session:
            await session.run(_STATES, live=False, check=True)
            async with aio.SharedRdd(f"{client.url}/sessions/{session.id}", "states") as states:
                self.assertEqual(await states.get("ak"), {"ak": "Alaska"})
            numbers = await session.handle("numbers")
            self.assertEqual(sum([batch.num_rows async for batch in numbers.iter_batches()]), 100000)


if __name__ == "__main__":
    unittest.main()
