"""Values of numpy, pandas and matplotlib, which the Python of HEARTH_TEST_PYTHON must have."""

import base64
import json
import os
import unittest

from runner_process import RunnerProcess

TABLE = "application/vnd.livy.table.v1+json"


class Science(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.runner = RunnerProcess()
        error = cls.runner.run("import matplotlib, numpy as np, pandas as pd")["output"].get("evalue")
        assert error is None, "HEARTH_TEST_PYTHON needs matplotlib, numpy and pandas: %s" % error

    @classmethod
    def tearDownClass(cls):
        cls.runner.close()

    def setUp(self):
        self.runner.run(
            "frame = pd.DataFrame({'i': [1, 2], 'f': [1.5, None], 's': ['a', None], 'b': [True, False], 't': pd.to_datetime(['2020-01-02 03:04:05', None]), "
            "'o': [{'k': 1}, None], 'n': pd.array([1, None], dtype='Int64'), 'c': pd.Categorical(['x', 'y'])})")

    def test_a_frame_as_value(self):
        done = self.runner.run("frame")
        self.assertEqual(set(done["output"]["data"]), {"text/plain", "text/html"})
        self.assertEqual(
            [(c["name"], c["class"]) for c in done["columns"]],
            [("i", "number"), ("f", "number"), ("s", "text"), ("b", "boolean"), ("t", "time"), ("o", "nested"), ("n", "number"), ("c", "text")])

    def test_a_frame_as_table(self):
        table = self.runner.data("%table frame")[TABLE]
        self.assertEqual(
            [h["type"] for h in table["headers"]],
            ["INT_TYPE", "DOUBLE_TYPE", "STRING_TYPE", "BOOLEAN_TYPE", "TIMESTAMP_TYPE", "MAP_TYPE", "INT_TYPE", "STRING_TYPE"])
        self.assertEqual(table["data"], [
            [1, 1.5, "a", True, "2020-01-02 03:04:05", {"k": 1}, 1, "x"], [2, None, None, False, None, None, None, "y"]])

    def test_a_frame_as_json(self):
        self.assertEqual(
            self.runner.data("small = frame[['i', 'f']]\n%json small"), {"application/json": [{"i": 1, "f": 1.5}, {"i": 2, "f": None}]})

    def test_frames_are_cut_and_counted(self):
        done = self.runner.run("long = pd.DataFrame({'i': range(30)})\n%table long", max_rows=10)
        self.assertEqual(len(done["output"]["data"][TABLE]["data"]), 10)
        self.assertEqual(done["truncated"], {"rows": 30, "shown": 10, "reason": "only the first 10 rows are shown"})

    def test_frames_of_many_shapes(self):
        for code, columns in (
                ("pd.DataFrame()", []), ("pd.Series([1, 2])", ["0"]), ("pd.Series(['a'], name='s')", ["s"]),
                ("pd.DataFrame([[1, 2]], columns=['x', 'x'])", ["x", "x"]), ("pd.DataFrame({1: [1]})", ["1"]),
                ("frame.groupby('b').agg({'i': ['sum', 'max']})", ["('i', 'sum')", "('i', 'max')"])):
            done = self.runner.run("shaped = %s\n%%table shaped" % code)
            self.assertEqual([c["name"] for c in done["columns"]], columns, code)

    def test_arrays(self):
        self.assertEqual(
            [(c["name"], c["class"]) for c in self.runner.run("np.array([[1, 2.5]])")["columns"]], [("0", "number"), ("1", "number")])
        data = self.runner.data("records = np.array([(1, 'x')], dtype=[('n', 'i4'), ('s', 'U1')])\n%table records")
        self.assertEqual(data[TABLE]["headers"], [{"name": "n", "type": "INT_TYPE"}, {"name": "s", "type": "STRING_TYPE"}])
        self.assertEqual(self.runner.data("flat = np.arange(3)\n%table flat")[TABLE]["data"], [[0], [1], [2]])
        self.assertIsNone(self.runner.run("np.array(5)")["columns"])

    def test_numbers_of_numpy(self):
        data = self.runner.data(
            "mixed = {'i': np.int64(1), 'f': np.float32('nan'), 'a': np.arange(2), 'b': np.bool_(True), 't': pd.Timestamp(0), 'n': pd.NaT, 'm': pd.NA}\n%json mixed")
        self.assertEqual(data["application/json"], {"i": 1, "f": None, "a": [0, 1], "b": True, "t": "1970-01-01 00:00:00", "n": None, "m": None})
        self.assertEqual(
            [h["type"] for h in self.runner.data("row = [[np.int64(1), np.float64(2), np.bool_(True)]]\n%table row")[TABLE]["headers"]],
            ["INT_TYPE", "DOUBLE_TYPE", "BOOLEAN_TYPE"])

    def test_plots(self):
        data = self.runner.data("import matplotlib.pyplot as plt\nlines = plt.plot([1, 2])\n%matplot plt")
        self.assertEqual(set(data), {"image/png", "text/plain"})
        self.assertTrue(base64.b64decode(data["image/png"]).startswith(b"\x89PNG"))
        self.assertEqual(data["text/plain"], "")
        self.assertEqual(self.runner.data("print('seen')\n%matplot plt")["text/plain"], "seen")
        self.assertIn("image/png", self.runner.data("figure = plt.figure()\nfigure"))
        self.assertEqual(self.runner.error("%matplot np")["ename"], "AttributeError")

    def test_the_recorded_plot(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorded_statements.json")) as file:
            recorded = next(statement for statement in json.load(file) if statement["name"] == "matplot")
        data = self.runner.data(recorded["code"])
        self.assertEqual(data.pop("text/plain"), "")  # Hue fails without it
        self.assertEqual(set(data), set(recorded["output"]["data"]))
        self.assertTrue(base64.b64decode(data["image/png"]).startswith(b"\x89PNG"))


if __name__ == "__main__":
    unittest.main()
