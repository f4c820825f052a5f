"""A value as MIME types: what notebooks and Livy's clients show of it."""

import base64
import sys

from hearth_runner.jsonable import jsonable

# Methods by which a value offers itself, in the way that Jupyter has made usual.
_METHODS = {
    "_repr_html_": "text/html",
    "_repr_markdown_": "text/markdown",
    "_repr_latex_": "text/latex",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
    "_repr_json_": "application/json",
}


def rich(value):
    """All that a value offers besides its repr, which is nothing for most. What it fails to make is told on standard error."""
    if isinstance(value, type):
        return {}  # the methods are meant for its instances
    data = {}
    figure = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    if figure and isinstance(value, figure):
        data["image/png"] = _sendable(png(value))
    for method, mime in _METHODS.items():
        offered = _offered(value, method)
        if offered is not None:
            data[mime] = offered
    data.update(_offered(value, "_repr_mimebundle_", include=None, exclude=None) or {})
    data.pop("text/plain", None)
    return {mime: offered for mime, offered in data.items() if offered is not None}


def png(figure):
    """A matplotlib figure, or pyplot itself, as PNG."""
    import io

    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _offered(value, method, **arguments):
    # Looked up on the class: an object that answers to every name (a mock, a DataFrame's columns) has not offered anything.
    offer = getattr(type(value), method, None)
    if offer is None:
        return None
    try:
        offered = offer(value, **arguments)
        if isinstance(offered, tuple):
            offered = offered[0]  # with metadata beside it
        if isinstance(offered, dict):
            return {key: _sendable(item) for key, item in offered.items()}
        return _sendable(offered)
    except NotImplementedError:
        return None
    except Exception as error:
        print("[%s of %s raised %s: %s]" % (method, type(value).__name__, type(error).__name__, error), file=sys.stderr)
        return None


def _sendable(offered):
    if isinstance(offered, (bytes, bytearray)):
        return base64.b64encode(bytes(offered)).decode("ascii")
    return jsonable(offered)
