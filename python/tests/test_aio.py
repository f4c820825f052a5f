"""The awaited calls, against a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import io
import unittest

import hearth
from hearth import aio


class Awaited(unittest.IsolatedAsyncioTestCase):
    async def test_a_session_from_its_creation_to_its_end(self) -> None:
        async with await aio.connect() as client, await client.create_session("pyspark", name="aio") as session:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                statement = await session.run("print('x')\n2 + 2")
            self.assertEqual((out.getvalue(), (await statement.result()).text), ("x\n4\n", "x\n4"))
            with self.assertRaises(hearth.StatementError):
                await session.run("nosuch", live=False, check=True)

            steps = [step async for step in (await session.submit("for n in range(3): print(n)")).follow()]
            printed = "".join(step.text for step in steps if isinstance(step, hearth.Output))
            self.assertEqual(printed, "0\n1\n2\n")

            results = await asyncio.gather(*(session.run(f"{n} * {n}", live=False) for n in range(5)))
            self.assertEqual([result.text for result in results], ["0", "1", "4", "9", "16"])

            found = await client.session("aio")
            self.assertEqual(found.id, session.id)
        self.assertTrue(session.info.is_over)

    async def test_a_context_whose_session_ends_by_a_clock(self) -> None:
        async with await aio.connect() as client, await client.create_context("aio-clocks") as context:
            session = await context.create_session("pyspark", ttl="25s")
            statement = await session.submit("import time\ntime.sleep(600)")
            warnings = [step async for step in statement.follow() if isinstance(step, hearth.Ending)]
            self.assertEqual([(each.clock, each.at) for each in warnings], [("ttl", session.info.ends_at)])
            # Its statement is over before it is.
            await session.stop()
            with self.assertRaises(hearth.GoneError):
                await session.submit("1")
        assert context.info.ended_by is not None
        self.assertEqual(context.info.ended_by["user"], (await self.whoami()).user)

    async def whoami(self) -> hearth.Login:
        async with await aio.connect() as client:
            return await client.whoami()

    async def test_who_cancels_the_task_cancels_the_statement(self) -> None:
        async with await aio.connect() as client, await client.create_session("pyspark") as session:
            began = asyncio.Event()
            code = "import time\nprint('began')\ntime.sleep(60)"
            task = asyncio.create_task(session.run(code, live=lambda _: began.set()))
            await asyncio.wait_for(began.wait(), 60)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            (newest,) = await session.statements(1, newest_first=True)
            await newest.wait(30)
            self.assertEqual(newest.state, "cancelled")


if __name__ == "__main__":
    unittest.main()
