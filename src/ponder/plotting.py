"""matplotlib, an extra: asked for before long work begins, and drawing to files alone."""

from __future__ import annotations

from typing import Any

from ponder.errors import MissingExtraError


def pyplot(what: str) -> Any:
    """Return `matplotlib.pyplot`, without a window.

    Args:
        what: is drawn, for the error message.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError(f"drawing {what}", "plot") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt
