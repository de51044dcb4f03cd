"""Every error ponder raises on purpose; each names the thing at fault and says what to do."""

from __future__ import annotations


class PonderError(Exception):
    """Base of all errors a caller may want to catch."""


class ItemError(PonderError):
    """One item cannot be read or embedded; the others can.

    Attributes:
        item: what the item is called: a path, a row id, or its position in the input.
        reason: what is wrong and what would mend it.
    """

    def __init__(self, item: str, reason: str) -> None:
        super().__init__(f"{item}: {reason}")
        self.item = item
        self.reason = reason

    def __reduce__(self) -> tuple[type[ItemError], tuple[str, str]]:
        return type(self), (self.item, self.reason)


class FetchError(PonderError):
    """A package could not be fetched, or is not the one that was pinned."""


class WeightsError(PonderError):
    """A model folder is missing, incomplete, or does not fit its configuration."""


class ThinkModeError(PonderError):
    """The model has not what a think mode needs: a reasoning adapter, or a gate."""


class FingerprintError(PonderError):
    """Vectors of two different models were about to be mixed."""


class StoreError(PonderError):
    """An index cannot be written to; what was written before is kept."""


class ConfigError(PonderError):
    """A configuration file has an unknown key or a value of the wrong type."""


class MissingExtraError(PonderError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'ponder[{extra}]'")


class ForkError(PonderError):
    """A process that was forked after a model was loaded wants to use one."""
