"""How fast it runs here: latency profiles by arm and batch size, kept by hardware fingerprint."""
