"""What needs no gateway: addresses, credentials, events, values, tables, Arrow's messages."""

from __future__ import annotations

import datetime
import decimal
import inspect
import io
import os
import unittest
import unittest.mock
from typing import Any

import httpx
import pyarrow as pa

import hearth
from hearth import _address, _auth, _errors, _numbers, _records, _table, _values, aio
from hearth._arrow import Batches
from hearth._blocking import drive
from hearth._display import Output, Progress
from hearth._events import Decoder
from hearth._exchange import Exchange
from hearth._request import Request, path_of, post, put
from hearth._statement import _beyond
from hearth._transport import Blocking


class Addresses(unittest.TestCase):
    def test_an_address_is_read_as_people_write_it(self) -> None:
        for url, base, place in [
            ("https://host:8998", "https://host:8998", None),
            ("host", "https://host", None),
            ("127.0.0.1:8998/", "http://127.0.0.1:8998", None),
            ("https://host:8998/sessions/0", "https://host:8998", ("sessions", "0")),
            ("host:1/livy/contexts/my%20work", "https://host:1/livy", ("contexts", "my work")),
            ("https://host/api/v1/sessions/abc/", "https://host", ("sessions", "abc")),
            ("http://[::1]:8998/sessions/x", "http://[::1]:8998", ("sessions", "x")),
        ]:
            address, found = _address.parse(url)
            self.assertEqual((address.base, found and (found.kind, found.name)), (base, place), url)

    def test_what_is_no_address_says_so(self) -> None:
        for url in ["", "ftp://host", "https://", "https://host:port", "https://user:secret@host"]:
            with self.assertRaises(hearth.ConfigurationError) as raised:
                _address.parse(url)
            self.assertNotIn("secret", str(raised.exception))

    def test_words_of_a_path_are_quoted(self) -> None:
        self.assertEqual(path_of("contexts", "a/b?", 1), "/contexts/a%2Fb%3F/1")
        self.assertRegex(post("/x", {}).key or "", "^[!-~]{36}$")


def shown(auth: Any, url: str = "https://host/x", answers: tuple[httpx.Response, ...] = ()) -> list[httpx.Headers]:
    """The headers of each request that a scheme sends, for these answers."""
    request = httpx.Request("GET", url)
    flow, sent = auth.auth_flow(request), []
    try:
        next(flow)
        sent.append(httpx.Headers(request.headers))
        for answer in answers:
            flow.send(answer)
            sent.append(httpx.Headers(request.headers))
    except StopIteration:
        pass
    return sent


class Credentials(unittest.TestCase):
    secure, local, remote = (_address.parse(url)[0] for url in ("https://host", "http://localhost", "http://host"))

    def test_each_form_is_its_scheme(self) -> None:
        forms: list[tuple[Any, str]] = [
            ("hearth_x", "Bearer hearth_x"),
            (lambda: "jwt", "Bearer jwt"),
            (("ann", "pass:word"), "Basic YW5uOnBhc3M6d29yZA=="),
        ]
        for auth, header in forms:
            found, certificate = _auth.scheme(auth, self.secure)
            self.assertEqual((shown(found)[0]["authorization"], certificate), (header, None))
        self.assertEqual(shown(hearth.Cookie("v"))[0]["cookie"], "__Host-hearth=v")
        self.assertEqual(shown(hearth.Cookie("v"), "http://localhost/")[0]["cookie"], "hearth=v")

    def test_a_refused_token_of_a_function_is_asked_for_once_more(self) -> None:
        tokens = iter(["old", "new", "newest"])
        refused = httpx.Response(401)
        sent = shown(hearth.Bearer(lambda: next(tokens)), answers=(refused, refused))
        self.assertEqual([each["authorization"] for each in sent], ["Bearer old", "Bearer new"])
        self.assertEqual(len(shown(hearth.Bearer("same"), answers=(refused,))), 1)

    def test_nothing_is_sent_in_the_clear_to_another_machine(self) -> None:
        forms: list[Any] = ["token", ("ann", "secret"), hearth.Cookie("secret"), hearth.Certificate("none.pem")]
        for auth in forms:
            with self.assertRaises(hearth.ConfigurationError) as raised:
                _auth.scheme(auth, self.remote)
            self.assertNotIn("secret", str(raised.exception))
        self.assertIsNotNone(_auth.scheme("token", self.local)[0])

    def test_the_token_of_the_environment_goes_to_its_gateway_alone(self) -> None:
        with unittest.mock.patch.dict(os.environ, {"HEARTH_TOKEN": "t"}):
            os.environ.pop("HEARTH_URL", None)
            self.assertIsNotNone(_auth.scheme(None, self.secure)[0])
            self.assertIsNone(_auth.scheme(False, self.secure)[0])
            os.environ["HEARTH_URL"] = "https://other"
            self.assertIsNone(_auth.scheme(None, self.secure)[0])

    def test_what_is_no_credential_is_not_shown(self) -> None:
        for auth in [17, ("secret",), ("a", "b", "secret")]:
            with self.assertRaises(hearth.ConfigurationError) as raised:
                _auth.scheme(auth, self.secure)  # type: ignore[arg-type]
            self.assertNotIn("secret", str(raised.exception))
        with self.assertRaises(hearth.ConfigurationError):
            shown(hearth.Bearer("two words"))
        self.assertEqual((repr(hearth.Bearer("secret")), repr(hearth.Cookie("secret"))), ("Bearer(…)", "Cookie(…)"))


class Events(unittest.TestCase):
    def test_events_are_the_same_wherever_the_bytes_are_cut(self) -> None:
        text = (
            ': alive\n\nevent: output\nid: 7\ndata: {"text":"é\\n"}\n\r\nevent:end\ndata:{"a":\ndata:1.50}\n\n'.encode()
        )
        for size in range(1, len(text) + 1):
            decoder = Decoder()
            events = [e for at in range(0, len(text), size) for e in decoder.feed(text[at : at + size])]
            self.assertEqual(
                [(e.name, e.id, e.data) for e in events], [("output", "7", {"text": "é\n"}), ("end", None, {"a": 1.5})]
            )


class Problems(unittest.TestCase):
    def test_a_problem_is_its_error(self) -> None:
        said = {"code": "not_found", "detail": "no such thing", "instance": "/api/v1/x", "status": 404}
        error = _errors.of_answer(404, "/x", {}, said, "")
        self.assertIsInstance(error, hearth.NotFoundError)
        self.assertEqual(str(error), "no such thing (404 not_found, /api/v1/x)")
        busy = _errors.of_answer(429, "/x", {"retry-after": "7"}, said, "")
        self.assertEqual((type(busy), busy.retry_after), (hearth.TooManyRequestsError, 7.0))
        foreign = _errors.of_answer(200, "/x", {}, None, "<html>\n  hello </html>")
        self.assertIn("is the address right? It said: <html> hello </html>", str(foreign))

    def test_the_error_of_code_reads_like_its_trace(self) -> None:
        error = hearth.StatementError("KeyError", "'k'", ["Traceback (most recent call last):\n", "KeyError: 'k'\n"])
        self.assertEqual(str(error), "KeyError: 'k'\nTraceback (most recent call last):")


class Repeats(unittest.TestCase):
    """What is sent again, to a gateway that answers with these."""

    def send(self, request: Request, *answers: Any) -> tuple[Any, list[httpx.Request]]:
        asked: list[httpx.Request] = []
        left = iter((200, *answers))

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            said = next(left)
            if isinstance(said, Exception):
                raise said
            return httpx.Response(said, json={"version": 2, "detail": "no"}, headers={"retry-after": "0"})

        transport = Blocking(transport=httpx.MockTransport(answer))
        address, _ = _address.parse("http://localhost:1")
        exchange = Exchange(transport, address, patience=20)
        try:
            drive(exchange.call(Request("GET", "/first")))
            asked.clear()
            return drive(exchange.call(request)), asked
        except hearth.HearthError as e:
            return e, asked
        finally:
            drive(transport.close())

    def test_a_change_is_repeated_under_its_key(self) -> None:
        for change in (put("/entries", {"entries": []}), post("/entries/delete", {"keys": []})):
            for lost in (503, 504, 502, httpx.ReadError("gone")):
                said, asked = self.send(change, lost, 200)
                self.assertEqual((said, len(asked)), ({"version": 2, "detail": "no"}, 2), lost)
                self.assertEqual({each.headers["idempotency-key"] for each in asked}, {change.key})
                self.assertEqual(len({each.content for each in asked}), 1)

    def test_what_may_have_been_done_is_repeated_only_where_that_does_no_harm(self) -> None:
        once = Request("POST", "/tokens", body={}, is_repeatable=False)
        for lost in (504, 502, httpx.ReadError("gone")):
            said, asked = self.send(once, lost, 200)
            self.assertEqual((isinstance(said, hearth.HearthError), len(asked)), (True, 1), lost)
        said, asked = self.send(once, 503, 200)
        self.assertEqual(len(asked), 2, "it was not begun")
        said, asked = self.send(put("/entries", {}), 422)
        self.assertEqual((type(said), len(asked)), (hearth.InvalidRequestError, 1))


class Values(unittest.TestCase):
    def test_keys_and_values_cross_and_come_back(self) -> None:
        for value in [None, True, 2**63, -1.5, "é", b"\x00\xff", [1, ["a"]], {"a": {"b": b"x"}}]:
            self.assertEqual(_values.from_wire(_values.to_wire(value)), value)
        self.assertEqual(_values.key_from_wire(_values.to_wire((1, ("a", b"b")))), (1, ("a", b"b")))
        for odd in [object(), float("nan"), {1: 2}, {1}]:
            with self.assertRaises(TypeError):
                _values.to_wire(odd)

    def test_decimals_keep_their_digits(self) -> None:
        digits = "12345678901234567890.123456789012345678"
        read = _numbers.loads(f'{{"a": {digits}, "b": 1.5}}')
        self.assertEqual(_numbers.decimal(read["a"]), decimal.Decimal(digits))
        self.assertEqual(read["b"] + 1, 2.5)

    def test_a_time_is_read_to_the_microsecond(self) -> None:
        self.assertEqual(
            _records.moment("2026-11-24T02:12:13.668759123Z"),
            datetime.datetime(2026, 11, 24, 2, 12, 13, 668759, datetime.timezone.utc),
        )
        self.assertEqual(str(_records.moment("2026-11-24T02:12:13.5+01:00")), "2026-11-24 02:12:13.500000+01:00")

    def test_fields_that_a_newer_gateway_adds_are_passed_over(self) -> None:
        said = {"id": "1", "level": "view", "user": "bob", "group": None, "created_by": "ann", "new": 1}
        grant = _records.read(hearth.Grant, {**said, "created_at": "2026-01-01T00:00:00Z"})
        self.assertEqual((grant.user, grant.expires_at), ("bob", None))
        with self.assertRaises(hearth.HearthError):
            _records.read(hearth.Grant, said)


class Tables(unittest.TestCase):
    columns = (
        {"name": "n", "type": "bigint", "class": "number"},
        {"name": "c", "type": "decimal(5,2)", "class": "number"},
        {"name": "b", "type": "binary", "class": "binary"},
        {"name": "s", "type": "struct<x:int>", "class": "nested"},
        {"name": "d", "type": "date", "class": "time"},
    )

    def test_sql_gives_values_of_python(self) -> None:
        cells = [2**53 + 1, 1.5, [120, -1], {"schema": [{"name": "x"}], "values": [1]}, "2020-01-02"]
        fields = [{"name": column["name"]} for column in self.columns]
        data = {"application/json": {"schema": {"fields": fields}, "data": [cells, [None] * 5]}}
        table = _table.of_result(data, self.columns, {"rows": 9, "shown": 2, "reason": "only 2 are shown"})
        self.assertEqual(table[0], (2**53 + 1, decimal.Decimal("1.5"), b"x\xff", {"x": 1}, "2020-01-02"))
        with self.assertWarnsRegex(UserWarning, "only 2 are shown"):
            frame = table.to_pandas()
        self.assertEqual(str(frame["n"].dtype), "Int64")
        self.assertEqual(frame["n"][0], 2**53 + 1)
        self.assertEqual(frame["d"][0], datetime.date(2020, 1, 2))

    def test_every_date_is_kept(self) -> None:
        texts = ["9999-12-31", "0001-01-01", "+10000-01-01", "-0044-03-15", None]
        frame = hearth.Table([hearth.Column("d", "date", "time")], [(text,) for text in texts]).to_pandas()
        latest, earliest = datetime.date(9999, 12, 31), datetime.date(1, 1, 1)
        self.assertEqual(list(frame["d"]), [latest, earliest, "+10000-01-01", "-0044-03-15", None])

    def test_columns_of_one_name_stay_apart(self) -> None:
        column = hearth.Column("a", "int", "number")
        frame = hearth.Table([column, column], [(1, 2)]).to_pandas()
        self.assertEqual(frame.to_numpy().tolist(), [[1, 2]])
        self.assertEqual(hearth.Table([column], []).to_pandas().shape, (0, 1))

    def test_html_shows_text_as_text(self) -> None:
        table = hearth.Table([hearth.Column("<b>", "string", "text")], [("<script>",)])
        self.assertNotIn("<script>", table._repr_html_())

    def test_what_is_no_table_says_how_to_get_one(self) -> None:
        with self.assertRaisesRegex(hearth.NoTableError, "%table df"):
            _table.of_result({"text/plain": "1"}, None, None)

    def test_the_result_is_told_from_what_was_printed(self) -> None:
        self.assertEqual(_beyond("1\n42\ne", "1\n", "e\n"), "42")
        self.assertEqual(_beyond("1", "1\n", ""), "")
        self.assertEqual(_beyond("42", "", ""), "42")


class Arrow(unittest.TestCase):
    def test_batches_are_the_same_wherever_the_bytes_are_cut(self) -> None:
        schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.dictionary(pa.int8(), pa.string()))])
        letters = pa.array(["x", "y"]).dictionary_encode().cast(schema.field("c").type)
        batches = [
            pa.record_batch([pa.array([n, None]), pa.array(["é" * n, "b"]), letters], schema=schema) for n in range(3)
        ]
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        data = sink.getvalue()
        for size in [1, 3, 8, 100, len(data)]:
            cut = Batches()
            streams = [s for at in range(0, len(data), size) for s in cut.feed(data[at : at + size])]
            read = [batch for stream in streams for batch in pa.ipc.open_stream(stream)]
            self.assertEqual(read, batches)
            self.assertTrue(cut.is_over)

    def test_what_is_no_stream_says_so(self) -> None:
        with self.assertRaises(hearth.HearthError):
            list(Batches().feed(b'{"type": "problem"}'))


class Faces(unittest.TestCase):
    def test_every_call_is_there_to_block_and_to_await(self) -> None:
        pairs = [(hearth.Client, aio.Client), (hearth.Session, aio.Session), (hearth.Statement, aio.Statement)]
        pairs += [(hearth.Context, aio.Context), (hearth.Batch, aio.Batch), (hearth.Handle, aio.Handle)]
        for blocks, awaited in pairs:
            calls = {name for name in dir(awaited) if not name.startswith("_") and name != "find"}
            self.assertEqual(calls - set(dir(blocks)), set(), blocks)
            for name in calls:
                call = getattr(blocks, name)
                if inspect.isfunction(call):
                    self.assertEqual(call.__doc__, getattr(awaited, name).__doc__)
                    self.assertNotIn("Async", str(inspect.signature(call).return_annotation))

    def test_each_face_of_a_handle_says_what_it_is(self) -> None:
        said = {"id": "1", "context": "2", "context_name": "c", "name": "states", "kind": "pairs", "version": 3}
        info = _records.read(hearth.HandleInfo, {**said, "state": "lost", "owner": "ann", "reason": "its driver ended"})
        asks = aio.SharedRdd("localhost:1/sessions/0", "states")
        self.assertEqual(repr(asks), "<AsyncSharedRdd, not looked up yet>")
        with self.assertRaises(hearth.HearthError):
            _ = asks.kind
        handle = hearth.Handle(aio.Handle(asks._exchange, info))
        self.assertEqual(repr(handle), "<Handle 'states': pairs, version 3, lost: its driver ended>")
        self.assertEqual((handle.name, handle.version, handle.info.durable), ("states", 3, False))

    def test_progress_and_output_read_well(self) -> None:
        self.assertEqual(str(Progress(0.5, tasks=4, tasks_done=2)), "50%, 2 of 4 tasks, 0 running")
        self.assertEqual(Output("stdout", "a", 1).text, "a")


if __name__ == "__main__":
    unittest.main()
