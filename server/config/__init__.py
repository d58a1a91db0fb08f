"""The one typed configuration: what an operator may set (`sections`), and where it is read from (`reading`)."""

from server.config.classes import class_weights
from server.config.keys import Key
from server.config.reading import read_config
from server.config.sections import (
    KEYS,
    Candidates,
    Config,
    Limits,
    Machine,
    Models,
    Policy,
    Profiles,
    Server,
    Sharing,
    Slo,
)

__all__ = [
    "KEYS",
    "Candidates",
    "Config",
    "Key",
    "Limits",
    "Machine",
    "Models",
    "Policy",
    "Profiles",
    "Server",
    "Sharing",
    "Slo",
    "class_weights",
    "read_config",
]
