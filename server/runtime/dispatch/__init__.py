"""The live queue of a family: what waits, what runs, what was answered; the policy decides."""
