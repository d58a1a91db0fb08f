"""The one typed configuration: what an operator may set (`sections`), and where it is read from (`reading`)."""

from server.config.bounding import LimitsSection, SharingSection
from server.config.classes import class_weights
from server.config.keys import Key
from server.config.reading import read_config
from server.config.sections import (
    KEYS,
    CandidatesSection,
    Config,
    MachineSection,
    ModelsSection,
    PolicySection,
    ProfilesSection,
    ServerSection,
    SloSection,
)

__all__ = [
    "KEYS",
    "CandidatesSection",
    "Config",
    "Key",
    "LimitsSection",
    "MachineSection",
    "ModelsSection",
    "PolicySection",
    "ProfilesSection",
    "ServerSection",
    "SharingSection",
    "SloSection",
    "class_weights",
    "read_config",
]
