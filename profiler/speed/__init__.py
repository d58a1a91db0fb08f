"""How fast machine and arms run now, against their profiles: learnt batch by batch. Pure."""
