"""A statement's code: ordinary Python, with lines of magic between."""

import __future__
import ast
import collections
import linecache

# Effects of `from __future__ import …`, which hold for the statements after it as at the interactive prompt.
_FUTURES = [getattr(__future__, name) for name in __future__.all_feature_names]

# Characters of code that are remembered for tracebacks.
_REMEMBERED = 8 << 20
# How the file names of statements begin.
FILES = "<stdin-"


class Code:
    """Some lines of Python, compiled.

    objects        all statements but the last, and the last one as at the prompt, which shows values
    ends_in_value  whether the last statement is an expression
    """

    def __init__(self, objects, ends_in_value):
        self.objects = objects
        self.ends_in_value = ends_in_value


class Magic:
    """One line of the form `%name rest`."""

    def __init__(self, line):
        name, _, rest = line[1:].strip().partition(" ")
        self.name = name
        self.rest = rest.strip()


class Compiler:
    """Turns statements into things to run, remembering the `__future__` features that they switched on."""

    def __init__(self):
        self._flags = 0

    def parts(self, code, file):
        """The statement's parts in order, all compiled before any is run. Line numbers are those of the whole.

        A line that begins with `%` is magic only where Python cannot go on there, so that a `%` at the start of a line inside
        a string or in brackets keeps its meaning.

        @param file  the file name that the code gets
        @throws SyntaxError also ValueError (a null character), RecursionError or MemoryError (nested too deeply)
        """
        code = code.replace("\r\n", "\n")
        if "%" not in code:
            return self._code(code, file)
        parts, lines, first = [], [], 0
        for number, line in enumerate(code.split("\n")):
            if line.startswith("%"):
                try:
                    parts += self._code("\n" * first + "\n".join(lines), file)
                except SyntaxError:
                    pass  # not the end of a statement, or wrong in itself, which the last line will tell
                else:
                    parts.append(Magic(line))
                    lines, first = [], number + 1
                    continue
            lines.append(line)
        return parts + self._code("\n" * first + "\n".join(lines), file)

    def _code(self, code, file):
        body = self._compile(code, file, "exec", ast.PyCF_ONLY_AST).body
        if not body:
            return []
        objects = [self._compile(ast.Interactive(body[-1:]), file, "single")]
        if body[:-1]:
            objects.insert(0, self._compile(ast.Module(body[:-1], []), file, "exec"))
        return [Code(objects, isinstance(body[-1], ast.Expr))]

    def _compile(self, code, file, mode, flags=0):
        compiled = compile(code, file, mode, self._flags | flags, dont_inherit=True)
        if not flags:
            for feature in _FUTURES:
                self._flags |= compiled.co_flags & feature.compiler_flag
        return compiled


def file_name(number):
    return "%s%d>" % (FILES, number)


class Sources:
    """The code of past statements, by which tracebacks and `inspect.getsource` show its lines; the oldest go when there is too much."""

    def __init__(self, limit=_REMEMBERED):
        self._room = limit
        self._files = collections.deque()

    def remember(self, file, code):
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        self._files.append((file, len(code)))
        self._room -= len(code)
        while self._room < 0:
            oldest, size = self._files.popleft()
            linecache.cache.pop(oldest, None)
            self._room += size
