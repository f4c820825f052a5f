"""Where user code lives: the module `__main__`, and the built-ins that mean something else here."""

import builtins
import sys
import types


def create():
    """A fresh `__main__`, in the place of the runner's own, so that cloudpickle sends its functions and classes by value."""
    main = types.ModuleType("__main__")
    main.__builtins__ = builtins
    sys.modules["__main__"] = main
    sys.argv = [""]
    builtins.input = _input
    # The site module's own close sys.stdin, so descriptor 0 would become whatever is opened next.
    builtins.exit = builtins.quit = _exit
    return main


def _input(prompt=""):
    raise RuntimeError("input() has nobody to ask: a statement runs without a keyboard. Put the value into the code.")


def _exit(code=None):
    raise SystemExit(code)
