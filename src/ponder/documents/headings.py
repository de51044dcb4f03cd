"""Which headings a place in a document is below."""

from __future__ import annotations

_MOST_TITLE_CHARS = 200


def is_title(text: str) -> bool:
    """Whether a heading is short enough to be repeated with every passage below it."""
    return len(text) <= _MOST_TITLE_CHARS


class Headings:
    """Follows a document's headings from its first to its last."""

    def __init__(self) -> None:
        self._titles: list[str] = []  # by level; "" where a level was jumped over
        self._is_bare = False

    @property
    def path(self) -> tuple[str, ...]:
        """Titles of the sections that the place reached is in, outermost first."""
        return tuple(title for title in self._titles if title)

    def begin(self, level: int, title: str) -> tuple[str, ...]:
        """Go on to a new heading, levels counted from 1.

        Returns:
            The path of the heading before where it has nothing below it, neither text nor a deeper
            heading, and so would be lost; else ().
        """
        lost = self.end() if level <= len(self._titles) else ()
        self._titles = self._titles[: level - 1]
        self._titles += [""] * (level - 1 - len(self._titles)) + [title]
        self._is_bare = bool(title)
        return lost

    def fill(self) -> None:
        """Note that there is text below the latest heading."""
        self._is_bare = False

    def end(self) -> tuple[str, ...]:
        """Return the latest heading's path if the document ends with nothing below it, else ()."""
        return self.path if self._is_bare else ()
