"""One arm with dynamic batching, as KServe and Triton are deployed: the head, with all that fit its deadline."""

from server.policy.decision import PolicyFactory
from server.policy.reference.maxbatch import maxbatch


def fixed() -> PolicyFactory:
    """Serve the most tickets that finish, by the upper estimate, before the head's deadline; at least the head.

    On one arm that is just what MaxBatch does. To be kept to one variant; where several arms run it, the batch comes
    first, then the most accurate arm. No early drop.
    """
    return maxbatch()
