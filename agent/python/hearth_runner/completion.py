"""What could stand at the cursor, found by looking and never by running: no property of a DataFrame is evaluated for it."""

import ast
import builtins
import inspect
import keyword
import re
import sys
import typing

# The end of the code before the cursor that is being completed: names, calls and subscripts joined by dots, then a part of a name.
_NAME = re.compile(r"\w*\Z")
# The most candidates worth sending.
_MOST = 500


def candidates(code, cursor, names):
    """Whole names in the place of the one that the cursor stands behind, public ones first.

    @param cursor  in UTF-16 code units, as editors count
    """
    before = code.encode("utf-16-le", "surrogatepass")[:2 * max(cursor, 0)].decode("utf-16-le", "ignore")
    prefix = _NAME.search(before).group(0)
    head = before[:len(before) - len(prefix)]
    if head.rstrip(" ").endswith("."):
        found = _members(_owner(head.rstrip(" ")[:-1]), names)
    elif prefix:
        found = set(names) | set(dir(builtins)) | set(keyword.kwlist)
    else:
        found = ()
    fitting = [name for name in found if isinstance(name, str) and name.startswith(prefix)]
    if not prefix.startswith("_"):
        fitting = [name for name in fitting if not name.startswith("_")]
    return sorted(fitting)[:_MOST]


def _owner(text):
    """The expression at the end of the text, as a tree; None where there is none."""
    depth, start = 0, len(text)
    while start > 0:
        letter = text[start - 1]
        if letter in ")]":
            depth += 1
        elif letter in "([":
            depth -= 1
            if depth < 0:
                break
        elif depth == 0 and not (letter.isalnum() or letter in "_.'\""):
            break
        start -= 1
    try:
        return ast.parse(text[start:].strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _members(tree, names):
    found = _find(tree, names)
    if found is None:
        return ()
    kind, thing = found
    try:
        return dir(thing)
    except Exception:
        return dir(type(thing)) if kind is _VALUE else ()


# What is known of an expression: its value, or only the class of its value.
_VALUE, _CLASS = "value", "class"


def _find(tree, names):
    """Kind and value (or class) of an expression; None where only running it could tell."""
    if isinstance(tree, ast.Constant):
        return _VALUE, tree.value
    if isinstance(tree, ast.Name):
        if tree.id in names:
            return _VALUE, names[tree.id]
        return (_VALUE, getattr(builtins, tree.id)) if hasattr(builtins, tree.id) else None
    if isinstance(tree, ast.Attribute):
        owner = _find(tree.value, names)
        return owner and _attribute(owner, tree.attr)
    if isinstance(tree, ast.Call):
        called = _find(tree.func, names)
        return called and _result(called[1])
    return None


def _attribute(owner, name):
    kind, thing = owner
    try:
        found = inspect.getattr_static(thing, name)
    except AttributeError:
        return None
    if isinstance(found, property):
        return _annotated(found.fget)
    if isinstance(found, (staticmethod, classmethod)):
        return _VALUE, found.__func__
    if hasattr(type(found), "__get__") and not inspect.isfunction(found) and not inspect.isclass(found):
        return _annotated(getattr(found, "fget", None) or getattr(found, "func", None))
    return _VALUE, found


def _result(called):
    if inspect.isclass(called):
        return _CLASS, called
    return _annotated(called)


def _annotated(function):
    """What a function says that it returns."""
    try:
        hint = inspect.unwrap(function).__annotations__.get("return")
        if isinstance(hint, str):
            hint = _named(hint, inspect.unwrap(function))
    except Exception:
        return None
    origin = typing.get_origin(hint)
    if origin is typing.Union:
        hint = next((choice for choice in typing.get_args(hint) if choice is not type(None)), None)
    elif inspect.isclass(origin):
        hint = origin
    return (_CLASS, hint) if inspect.isclass(hint) else None


def _named(hint, function):
    """The class of an annotation that is text. PySpark imports many of them for type checkers alone, so they are looked for by name
    among what its package has loaded."""
    scope = dict(vars(typing))
    scope.update(getattr(function, "__globals__", {}))
    plain = re.match(r"(?:Optional\[)?[\"']?([A-Za-z_]\w*)", hint).group(1)
    if plain in scope:
        return scope[plain]
    package = function.__module__.partition(".")[0]
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == package and inspect.isclass(getattr(module, plain, None)):
            return getattr(module, plain)
    return None
