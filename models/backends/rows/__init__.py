"""Whether the rows of a batch are kept apart by a graph, followed operator by operator."""
