"""Statements that need no Spark: values, output, errors, magics, limits."""

import unittest

from runner_process import RunnerProcess


class Statements(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runner = RunnerProcess()

    @classmethod
    def tearDownClass(cls):
        cls.runner.close()

    def test_lone_surrogate_survives(self):
        self.assertEqual(self.runner.text(r"print('\ud83d')"), "\ud83d")
        self.assertEqual(self.runner.text(r"'\ud83d'"), r"'\ud83d'")
        self.assertEqual(self.runner.error("'\ud83d'")["ename"], "UnicodeEncodeError")  # as Python has it for source text

    def test_nested_expressions_are_shown_as_at_the_prompt(self):
        self.assertEqual(self.runner.text("for i in range(3):\n    i"), "0\n1\n2")

    def test_underscore_is_the_last_value(self):
        self.runner.text("40 + 2")
        self.assertEqual(self.runner.text("_ * 2"), "84")

    def test_future_features_hold_for_later_statements(self):
        self.runner.text("from __future__ import annotations")
        self.assertEqual(self.runner.text("def late(a: nowhere): pass\nlate.__annotations__['a']"), "'nowhere'")

    def test_nothing_runs_when_a_later_line_is_wrong(self):
        self.runner.text("seen = []")
        error = self.runner.error("seen.append(1)\nx = 1\n%json seen\nreturn 5")
        self.assertEqual((error["ename"], error["evalue"]), ("SyntaxError", "'return' outside function (<stdin>, line 4)"))
        self.assertEqual(self.runner.text("seen"), "[]")

    def test_output_of_everything_arrives_in_order(self):
        self.runner.begin(
            "import os, subprocess, sys\nprint('one')\nos.system('echo two')\nprint('three')\nos.write(1, b'four\\n')\n"
            "subprocess.run(['echo', 'five'])\nsys.stdout.buffer.write(b'six\\n')\nprint('seven')\nNone")
        printed, done = self.runner.end()
        self.assertEqual("".join(text for _, text in printed), "one\ntwo\nthree\nfour\nfive\nsix\nseven\n")
        self.assertEqual(done["output"]["data"]["text/plain"].split(), "one two three four five six seven".split())

    def test_output_comes_while_the_statement_runs(self):
        number = self.runner.begin("import time\nprint('now')\ntime.sleep(600)")
        self.assertEqual(self.runner.reply("output")["text"], "now\n")
        self.runner.send("cancel", id=number)
        self.runner.end()

    def test_output_of_threads_belongs_to_the_running_statement(self):
        self.runner.text(
            "import threading\ngo = threading.Event()\ndone = threading.Event()\ndef later():\n    go.wait()\n    print('late')\n    done.set()\n"
            "threading.Thread(target=later).start()")
        self.assertEqual(self.runner.text("go.set()\ndone.wait()\n1"), "late\n1")

    def test_output_between_statements_goes_to_the_log(self):
        self.runner.text(
            "import threading\ngone = threading.Event()\ndef after():\n    gone.wait(0.2)\n    print('between')\n    gone.set()\n"
            "t = threading.Thread(target=after); t.start()")
        while not any("between" in line for line in self.runner.log):
            pass
        self.assertEqual(self.runner.text("t.join()\n'quiet'"), "'quiet'")

    def test_long_output_is_cut_and_told(self):
        self.runner.begin("for i in range(10): print('x' * 99)", max_output=250)
        printed, done = self.runner.end()
        self.assertEqual(sum(len(text) for _, text in printed), 251)
        text = done["output"]["data"]["text/plain"]
        self.assertTrue(text.endswith("\n[output cut here: more than 250 bytes]"), text)
        self.assertEqual(done["truncated"]["reason"], "750 bytes of output beyond the first 250 were left out")

    def test_limit_counts_utf8(self):
        done = self.runner.run("print('\u00e9' * 10)", max_output=5)
        self.assertEqual(done["output"]["data"]["text/plain"], "\u00e9\u00e9\n[output cut here: more than 5 bytes]")

    def test_a_result_too_large_is_an_error_that_helps(self):
        error = self.runner.error("big = ['x' * 1000] * 20000\n%json big")
        self.assertEqual(error["ename"], "ResultTooLarge")
        self.assertIn("select fewer rows", error["evalue"])

    def test_frames_are_those_of_user_code(self):
        self.runner.text("def inner():\n    raise ValueError('boom')")
        error = self.runner.error("x = 1\ninner()")
        self.assertEqual(error["traceback"][0], "Traceback (most recent call last):\n")
        self.assertTrue(error["traceback"][1].startswith('  File "<stdin>", line 2, in <module>\n    inner()\n'))
        self.assertRegex(error["traceback"][2], r'\A  File "<stdin-\d+>", line 2, in inner\n    raise ValueError\(\'boom\'\)\n')
        self.assertEqual(error["traceback"][-1], "ValueError: boom\n")
        self.assertTrue(all(line.endswith("\n") for line in error["traceback"]))

    def test_source_of_user_code_can_be_had(self):
        self.runner.text("def sourced():\n    return 7\n")
        self.assertEqual(self.runner.text("import inspect\nprint(inspect.getsource(sourced))"), "def sourced():\n    return 7")

    def test_an_error_in_repr_is_an_error(self):
        error = self.runner.error("class Bad:\n    def __repr__(self): raise KeyError('no')\nBad()")
        self.assertEqual(error["ename"], "KeyError")

    def test_an_exception_without_text_is_shown(self):
        error = self.runner.error("class Mute(Exception):\n    def __str__(self): raise OSError\nraise Mute()")
        self.assertEqual((error["ename"], error["evalue"]), ("Mute", "<no text: its __str__ raised OSError>"))

    def test_endless_recursion_is_an_error(self):
        self.assertEqual(self.runner.error("def deep(): return deep()\ndeep()")["ename"], "RecursionError")

    def test_code_that_cannot_be_parsed_is_an_error(self):
        self.assertIn(self.runner.error("x = '\0'")["ename"], ("ValueError", "SyntaxError"))
        self.assertIn(self.runner.error("(" * 100000)["ename"], ("SyntaxError", "MemoryError", "RecursionError"))

    def test_exit_and_input(self):
        for code in ("exit()", "quit(2)", "import sys; sys.exit('bye')"):
            self.assertEqual(self.runner.error(code)["ename"], "SystemExit")
        self.assertIn("without a keyboard", self.runner.error("input('name?')")["evalue"])
        self.assertEqual(self.runner.text("import sys\nsys.stdin.read()"), "''")

    def test_percent_inside_python_is_not_magic(self):
        self.assertEqual(self.runner.text("text = '''\n%json x\n'''\ntext"), r"'\n%json x\n'")
        self.assertEqual(self.runner.text("value = (7\n% 4)\nvalue"), "3")

    def test_magic_after_text_with_percent(self):
        data = self.runner.data("text = '''\n%json x\n'''\nn = [text]\n%json n")
        self.assertEqual(data, {"application/json": ["\n%json x\n"]})

    def test_json_of_what_json_does_not_know(self):
        data = self.runner.data(
            "import datetime, decimal\nodd = {'s': {2, 1}, 'd': datetime.date(2020, 1, 2), 'n': float('nan'), 'i': float('inf'), "
            "'m': decimal.Decimal('1.10'), 't': (1, 2), 3: None}\n%json odd")
        self.assertEqual(data["application/json"], {
            "s": [1, 2], "d": "2020-01-02", "n": None, "i": "Infinity", "m": "1.10", "t": [1, 2], "3": None})

    def test_json_of_the_rest_is_an_error_and_nothing_worse(self):
        for code, name in (
                ("import threading; o = threading.Lock()", "TypeError"), ("o = []; o.append(o)", "ValueError"), ("o = b'x'", "TypeError")):
            self.assertEqual(self.runner.error(code + "\n%json o")["ename"], name)
        self.assertEqual(self.runner.text("2 + 2"), "4")

    def test_magics_without_a_name(self):
        for magic in ("%json", "%table", "%matplot", "%sql"):
            self.assertEqual(self.runner.error(magic)["ename"], "UsageError")
        self.assertEqual(self.runner.error("%")["ename"], "UnknownMagic")

    def test_tables_of_mixed_rows(self):
        done = self.runner.run("m = [[1, 1, 'a', None], [2.5, 'x', None, True], [3, 2]]\n%table m")
        table = done["output"]["data"]["application/vnd.livy.table.v1+json"]
        self.assertEqual([h["type"] for h in table["headers"]], ["DOUBLE_TYPE", "STRING_TYPE", "STRING_TYPE", "BOOLEAN_TYPE"])
        self.assertEqual(table["data"], [[1.0, "1", "a", None], [2.5, "x", None, True], [3.0, "2", None, None]])
        self.assertEqual([c["class"] for c in done["columns"]], ["number", "text", "text", "boolean"])

    def test_tables_of_nested_values(self):
        data = self.runner.data("n = [[{'a': 1}, [1, 'a'], {1}]]\n%table n")
        self.assertEqual(data["application/vnd.livy.table.v1+json"]["data"], [[{"a": 1}, [1, "a"], [1]]])

    def test_tables_of_dicts_with_other_keys(self):
        data = self.runner.data("k = [{'a': 1}, {'b': 'x'}]\n%table k")
        self.assertEqual(data["application/vnd.livy.table.v1+json"], {
            "headers": [{"name": "a", "type": "INT_TYPE"}, {"name": "b", "type": "STRING_TYPE"}], "data": [[1, None], [None, "x"]]})

    def test_tables_are_cut_at_max_rows_and_told(self):
        done = self.runner.run("r = [[i] for i in range(100)]\n%table r", max_rows=10)
        self.assertEqual(len(done["output"]["data"]["application/vnd.livy.table.v1+json"]["data"]), 10)
        self.assertEqual(done["truncated"], {"rows": 100, "shown": 10, "reason": "only the first 10 rows are shown"})

    def test_columns_of_values(self):
        columns = self.runner.run("[{'a': 1, 'b': 'x'}, {'a': 2.5, 'b': None}]")["columns"]
        self.assertEqual(columns, [{"name": "a", "type": "double", "class": "number"}, {"name": "b", "type": "string", "class": "text"}])
        self.assertEqual([c["name"] for c in self.runner.run("[(1, 'x')]")["columns"]], ["0", "1"])
        for code in ("5", "[1, 2]", "{'a': 1}", "(1, 2)", "[]", "'text'"):
            self.assertIsNone(self.runner.run(code)["columns"], code)

    def test_rich_values(self):
        data = self.runner.data("class Rich:\n    def _repr_html_(self): return '<b>x</b>'\n    def _repr_png_(self): return b'png'\n"
                                "    def __repr__(self): return 'rich'\nRich()")
        self.assertEqual(data, {"text/plain": "rich", "text/html": "<b>x</b>", "image/png": "cG5n"})
        data = self.runner.data("class Bundle:\n    def _repr_mimebundle_(self, include=None, exclude=None): return {'text/plain': 'b', 'text/x': 1}, {}\n"
                                "    def __repr__(self): return 'bundle'\nBundle()")
        self.assertEqual(data, {"text/plain": "bundle", "text/x": 1})

    def test_objects_that_answer_to_everything_have_offered_nothing(self):
        data = self.runner.data("class Yes:\n    def __getattr__(self, name): return lambda *a, **k: 'yes'\n    def __repr__(self): return 'y'\nYes()")
        self.assertEqual(data, {"text/plain": "y"})

    def test_what_a_value_fails_to_offer_is_told(self):
        text = self.runner.text("class Fails:\n    def _repr_html_(self): raise ValueError('no')\n    def __repr__(self): return 'f'\nFails()")
        self.assertEqual(text, "f\n[_repr_html_ of Fails raised ValueError: no]")

    def test_long_numbers_are_text_in_json(self):
        self.assertEqual(self.runner.data("n = [10 ** 400, 2 ** 64]\n%json n"), {"application/json": [str(10 ** 400), 2 ** 64]})

    def test_display(self):
        data = self.runner.data("class Shown:\n    def _repr_html_(self): return '<i>s</i>'\n    def __repr__(self): return 's'\ndisplay(Shown(), 'and')\n1")
        self.assertEqual(data, {"text/plain": "s\nand\n1", "text/html": "<i>s</i>"})

    def test_a_small_statement_costs_less_than_a_millisecond(self):
        self.assertLess(min(self.runner.run("1+1")["ran_us"] for _ in range(20)), 1000)

    def test_a_notice_comes_with_the_output(self):
        self.runner.begin("1", notice="[started anew]\n")
        printed, done = self.runner.end()
        self.assertEqual(printed, [("stderr", "[started anew]\n")])
        self.assertEqual(done["output"]["data"]["text/plain"], "1\n[started anew]")


if __name__ == "__main__":
    unittest.main()
