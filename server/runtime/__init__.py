"""The live shell: dispatcher, workers, tuner. It carries decisions out and makes none."""
