"""gearshift.v1.Control: what was decided and why, and what operators want done."""
