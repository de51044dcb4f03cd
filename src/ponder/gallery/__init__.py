"""The Gallery: real pictures with real descriptions, for training, evaluation and the demo."""

from ponder.gallery.build import build, default_folder
from ponder.gallery.shards import read

__all__ = ["build", "default_folder", "read"]
