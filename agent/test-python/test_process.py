"""The process itself: cancels, forks, crashes, its pipes, its end."""

import os
import subprocess
import unittest

from runner_process import PATIENCE, PYTHON, RUNNER, RunnerProcess


class Process(unittest.TestCase):
    def setUp(self):
        self.runner = RunnerProcess()
        self.addCleanup(self.runner.close)

    def assert_alive(self):
        self.assertEqual(self.runner.text("20 + 1"), "21")

    def test_cancel(self):
        for code in (
                "while True: pass",
                "import time\ntime.sleep(600)",
                "import threading\nthreading.Event().wait()",
                "import subprocess\nsubprocess.run(['sleep', '600'])",
                "def f():\n    while True:\n        try:\n            while True: pass\n        except ValueError: pass\nf()"):
            output = self.runner.cancelled("print('go', flush=True)\n" + code)
            self.assertEqual((output["ename"], output["evalue"]), ("KeyboardInterrupt", "the statement was cancelled"), code)
            self.assert_alive()

    def test_cancel_of_code_that_swallows_interrupts(self):
        for code in (
                "try:\n    time.sleep(600)\nexcept: pass\ntime.sleep(600)",
                "while True:\n    try: time.sleep(600)\n    except: pass",
                "while True:\n    try:\n        while True: pass\n    except BaseException: pass"):
            output = self.runner.cancelled("import time\nprint('go', flush=True)\n" + code)
            self.assertEqual(output["ename"], "KeyboardInterrupt", code)
            self.assert_alive()

    def test_cancel_while_printing(self):
        for _ in range(10):
            output = self.runner.cancelled("i = 0\nwhile True:\n    print(i)\n    i += 1")
            self.assertEqual(output["ename"], "KeyboardInterrupt")
            self.assert_alive()

    def test_cancel_before_the_statement_begins(self):
        self.runner.begin("import time\nprint('go', flush=True)\ntime.sleep(0.2)")
        self.runner.reply("output")
        first = self.runner.number
        second = self.runner.begin("print('never')")
        self.runner.send("cancel", id=second)
        self.runner.number = first
        self.assertEqual(self.runner.end()[1]["output"]["status"], "ok")
        self.runner.number = second
        printed, done = self.runner.end()
        self.assertEqual((printed, done["output"]["ename"]), ([], "KeyboardInterrupt"))
        self.assert_alive()

    def test_cancel_never_hits_another_statement(self):
        for _ in range(300):
            number = self.runner.begin("x = 1 + 1")
            self.runner.send("cancel", id=number)
            self.runner.end()
            self.assertEqual(self.runner.run("sum(range(1000))")["output"]["data"]["text/plain"], "499500")

    def test_cancel_of_what_is_over_or_unknown_is_ignored(self):
        self.runner.text("1")
        self.runner.send("cancel", id=1)
        self.runner.send("cancel", id=77)
        self.assert_alive()

    def test_forked_children_keep_off_the_channel(self):
        text = self.runner.text(
            "import os\npid = os.fork()\nif pid == 0:\n    print('child', flush=True)\nelse:\n    ended = os.waitpid(pid, 0)\n    print('parent')")
        self.assertEqual(sorted(text.splitlines()[:2]), ["child", "parent"])  # Python 3.12 warns of the fork after that
        self.assert_alive()

    def test_multiprocessing(self):
        for method in ("fork", "spawn"):
            code = "import math, multiprocessing\nwith multiprocessing.get_context(%r).Pool(2) as pool:\n    found = pool.map(math.factorial, range(5))\nfound"
            self.assertEqual(self.runner.text(code % method).splitlines()[0], "[1, 1, 2, 6, 24]")
        self.assert_alive()

    def test_a_forked_child_may_be_interrupted_and_exit(self):
        text = self.runner.text(
            "import os, signal, sys\npid = os.fork()\nif pid == 0:\n    try:\n        os.kill(os.getpid(), signal.SIGINT)\n    except KeyboardInterrupt:\n"
            "        os._exit(7)\nos.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if sys.version_info >= (3, 9) else 7")
        self.assertEqual(text.splitlines()[0], "7")

    def test_programs_do_not_inherit_the_channel(self):
        self.assertEqual(self.runner.text("import subprocess\nsubprocess.run(['ls', '/proc/self/fd'], capture_output=True, close_fds=False).stdout.split()"), "[b'0', b'1', b'2', b'3']")

    def test_closed_descriptors_do_no_harm(self):
        self.runner.text("import os\nfor d in (0, 1, 2): os.close(d)")
        self.assertEqual(self.runner.text("print('still')\n1"), "still\n1")

    def test_many_threads_print_at_once(self):
        text = self.runner.text(
            "import threading\ndef say(n):\n    for i in range(100): print('%d:%d' % (n, i))\n"
            "threads = [threading.Thread(target=say, args=(n,)) for n in range(8)]\nfor t in threads: t.start()\nfor t in threads: t.join()")
        # As ever in Python, a line and its end are two writes, and another thread's may come between.
        self.assertEqual(sorted("".join(text.split())), sorted("".join("%d:%d" % (n, i) for n in range(8) for i in range(100))))

    def test_secrets_do_not_stay_in_the_environment(self):
        self.assertEqual(self.runner.text("import os\n[n for n in os.environ if 'GATEWAY' in n or 'SECRET' in n]"), "[]")

    def test_exit_of_the_process_is_the_end_of_its_pipe(self):
        self.runner.begin("import os\nos._exit(3)")
        self.assertIsNone(self.runner.replies.get(timeout=PATIENCE))
        self.assertEqual(self.runner.process.wait(PATIENCE), 3)

    def test_a_crash_leaves_a_trace_in_the_log(self):
        self.runner.begin("import ctypes\nctypes.string_at(0)")
        self.assertIsNone(self.runner.replies.get(timeout=PATIENCE))
        self.assertEqual(self.runner.process.wait(PATIENCE), -11)
        self.runner.readers[1].join(PATIENCE)
        self.assertIn("Segmentation fault", "".join(self.runner.log))

    def test_the_process_ends_with_the_agent(self):
        for code in ("1", "while True: pass", "import time\nwhile True:\n    try: time.sleep(600)\n    except BaseException: pass",
                     "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"):
            runner = RunnerProcess()
            runner.begin(code)
            self.assertEqual(runner.close(), 0, code)

    def test_the_process_ends_with_an_agent_that_is_killed(self):
        runner = subprocess.Popen([PYTHON, RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.assertIn(b"started", runner.stdout.readline())
            for pipe in (runner.stderr, runner.stdout, runner.stdin):
                pipe.close()
            self.assertEqual(runner.wait(PATIENCE), 0)
        finally:
            runner.kill()
            runner.wait()

    def test_atexit_runs(self):
        path = os.path.join(self.runner.text("import tempfile\nd = tempfile.mkdtemp()\nprint(d)"), "left")
        self.runner.text("import atexit\natexit.register(lambda: open(%r, 'w').close())\nNone" % path)
        self.runner.send("close")
        self.runner.process.wait(PATIENCE)
        self.assertTrue(os.path.exists(path))
        os.remove(path)
        os.rmdir(os.path.dirname(path))


class Completion(unittest.TestCase):
    def setUp(self):
        self.runner = RunnerProcess()
        self.addCleanup(self.runner.close)

    def test_names(self):
        self.runner.text("spam_one = 1; spam_two = 2; _spam = 3")
        self.assertEqual(self.runner.complete("x = spam"), ["spam_one", "spam_two"])
        self.assertEqual(self.runner.complete("spam_o + 1", 6), ["spam_one"])
        self.assertIn("print", self.runner.complete("pri"))
        self.assertIn("import", self.runner.complete("imp"))
        self.assertEqual(self.runner.complete(""), [])
        self.assertEqual(self.runner.complete("nosuch"), [])

    def test_attributes(self):
        self.runner.text("import os.path\ntext = 'x'")
        self.assertEqual(self.runner.complete("os.path.joi"), ["join"])
        self.assertEqual(self.runner.complete("y = text.upp"), ["upper"])
        self.assertEqual(self.runner.complete("print('a'.startsw"), ["startswith"])
        self.assertEqual(self.runner.complete("nosuch.x"), [])

    def test_cursor_counts_utf16(self):
        self.runner.text("spam_one = 1")
        self.assertEqual(self.runner.complete("'\U0001F600', spam_o, 1", 12), ["spam_one"])

    def test_nothing_is_run_for_it(self):
        self.runner.text(
            "touched = []\nclass Careful:\n    @property\n    def trap(self) -> str:\n        touched.append(1)\n        return ''\n"
            "    def method(self) -> 'Careful':\n        touched.append(2)\n        return self\nc = Careful()")
        self.assertEqual(self.runner.complete("c.trap.upp"), ["upper"])
        self.assertEqual(self.runner.complete("c.method().met"), ["method"])
        self.assertEqual(self.runner.text("touched"), "[]")

    def test_hostile_objects(self):
        self.runner.text("class Hostile:\n    def __dir__(self): raise SystemError\nh = Hostile()")
        self.assertIn("__class__", self.runner.complete("h.__cl"))


if __name__ == "__main__":
    unittest.main()
