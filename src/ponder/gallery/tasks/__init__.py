"""The Gallery's tasks: queries, candidates and which is right, with a thought for each."""

from ponder.gallery.tasks.build import build_tasks, default_folder
from ponder.gallery.tasks.schema import TASKS, TaskData, read_task

__all__ = ["TASKS", "TaskData", "build_tasks", "default_folder", "read_task"]
