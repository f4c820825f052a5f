"""Exceptions as a person reads them: the frames of user code and libraries, not ours, and the JVM's stacks kept short."""

import os
import re
import traceback

# The package's own files, whose frames are left out.
_OURS = os.path.dirname(os.path.abspath(__file__))
# Lines of a Java stack shown before the rest is counted only.
_JAVA_FRAMES = 3
# Longest text of one exception, in characters.
_LONGEST = 64 * 1024


def error(exception, cell=None):
    """An exception as Livy's error output: `ename`, `evalue` and `traceback`, lines with their line ends.

    @param cell  file name of the statement's code, shown as `<stdin>`; code of earlier statements keeps its own name
    """
    details = traceback.TracebackException(type(exception), exception, exception.__traceback__)
    _clean(details, set())
    lines = [_readable(line, cell) for line in details.format()]
    return _output(type(exception).__name__, _readable(_text(exception), cell), lines)


def brief(exception, cell):
    """An exception of the statement's own text (its syntax, a magic) where no frame is worth showing."""
    lines = traceback.format_exception_only(type(exception), exception)
    return _output(type(exception).__name__, _readable(_text(exception), cell), [_readable(line, cell) for line in lines])


def _output(name, value, lines):
    return {"status": "error", "ename": name, "evalue": value, "traceback": lines}


def _clean(details, seen):
    if details is None or id(details) in seen:
        return
    seen.add(id(details))
    details.stack[:] = [frame for frame in details.stack if not frame.filename.startswith(_OURS)]
    _clean(details.__cause__, seen)
    _clean(details.__context__, seen)
    for inner in getattr(details, "exceptions", None) or ():
        _clean(inner, seen)


def _text(exception):
    try:
        return str(exception)
    except Exception as failure:
        return "<no text: its __str__ raised %s>" % type(failure).__name__


def _readable(text, cell):
    if cell:
        text = text.replace(cell, "<stdin>")
    if "\n\tat " in text:
        text = _short_stacks(text)
    if len(text) > _LONGEST:
        text = "%s\n[%d more characters]\n" % (text[:_LONGEST], len(text) - _LONGEST)
    return text


def _short_stacks(text):
    def short(match):
        lines = match.group(0).splitlines(keepends=True)
        left_out = len(lines) - _JAVA_FRAMES
        if left_out < 2:
            return match.group(0)
        return "".join(lines[:_JAVA_FRAMES]) + "\t... %d more\n" % left_out

    return re.sub(r"(?m)(?:^\tat .*\n?)+", short, text)
