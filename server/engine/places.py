"""Where an engine finds what it serves and keeps what it measures, as the configuration says."""

from pathlib import Path

from models.artifacts import default_repository
from profiler.store import default_folder
from server.config import Config


def root_of(config: Config) -> Path:
    """The model repository."""
    return Path(config.models.repository or default_repository())


def profiles_folder(config: Config) -> Path:
    """Where profiles are kept, and verdicts on candidates in a folder of it."""
    return Path(config.profiles.folder or default_folder())
