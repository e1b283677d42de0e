"""The errors that a user can cause; the command line turns each into one message.

Every message says where, what was found, what was expected and what to do about it.
"""


class LandscapeError(Exception):
    """Something that stops a study and that its user can mend."""

    exit_code = 1


class UsageError(LandscapeError):
    """The request itself is wrong: nothing was started and nothing was written."""

    exit_code = 2


class MissingStudyError(UsageError):
    """There is no study of this name."""


class SpecError(UsageError):
    """A study, panel, grid, pair or schedule that cannot be."""


class TaskError(UsageError):
    """A task that is unknown, does not import, or does not keep the Task protocol."""


class PairError(UsageError):
    """A rule or optimizer of a user's own that does not import, or is not what it must be."""


class DataError(LandscapeError):
    """A data set that is missing, incomplete or wrong, or a folder that cannot hold it."""


class StoreError(LandscapeError):
    """A database that cannot be opened, read or written."""


class MissingStoreError(StoreError):
    """There is no database yet where one was named, or none of ours in it."""


class StudyMismatchError(UsageError):
    """A study of this name is in the database with another task, schedule or budget."""


class LeaseLostError(LandscapeError):
    """Another worker holds this chunk now: what was trained here must not be recorded."""


class TrainingError(LandscapeError):
    """Workers failed or kept dying; what was finished before is in the database."""


def first_line(e: BaseException) -> str:
    """What an exception says, in one line: its name where it says nothing."""
    return (str(e).strip() or type(e).__name__).splitlines()[0]
