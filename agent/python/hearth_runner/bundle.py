"""A value as MIME types: what notebooks and Livy's clients show of it."""

import base64
import json
import sys

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
    """All that a value offers besides its repr; empty for most."""
    if isinstance(value, type):
        return {}  # the methods are meant for its instances
    data = {}
    figure = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    if figure and isinstance(value, figure):
        data["image/png"] = base64.b64encode(png(value)).decode("ascii")
    for method, mime in _METHODS.items():
        offered = _offered(value, method)
        if isinstance(offered, tuple):
            offered = offered[0]  # with metadata beside it
        if offered is not None:
            data[mime] = _text(offered)
    bundle = _offered(value, "_repr_mimebundle_", include=None, exclude=None)
    if isinstance(bundle, tuple):
        bundle = bundle[0]
    for mime, offered in (bundle or {}).items():
        if offered is not None:
            data[mime] = _text(offered)
    data.pop("text/plain", None)
    return data


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
        return offer(value, **arguments)
    except NotImplementedError:
        return None


def _text(offered):
    if isinstance(offered, (bytes, bytearray)):
        return base64.b64encode(bytes(offered)).decode("ascii")
    json.dumps(offered, allow_nan=False)  # what cannot be sent raises here, where the value is to blame
    return offered
