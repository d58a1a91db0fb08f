"""What lies beside models in other servers' repositories, read."""
