"""System shared memory: clients on this machine register regions; inputs are read there and outputs written there."""
