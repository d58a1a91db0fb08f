"""Models served in this process: a repository's families, each request on the variant that suits it best just now.

What a front, or a program that embeds Gearshift, needs: `Engine(config)`, `Request`, `Tensor`, `Answer`.
"""

from server.engine.checking.demands import Demand
from server.engine.contents import Buffer, Contents, Values
from server.engine.description import Description, FamilyDescription
from server.engine.engine import Engine
from server.engine.values import Answer, Execution, Request, Tensor

__all__ = [
    "Answer",
    "Buffer",
    "Contents",
    "Demand",
    "Description",
    "Engine",
    "Execution",
    "FamilyDescription",
    "Request",
    "Tensor",
    "Values",
]
