"""Who waits, who may, and what is likely to come: the state that a decision is made from. Pure."""
