"""The sidecar: what a server lacks, trained and published beside it."""
