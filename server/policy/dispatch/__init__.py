"""What to run next: the adaptive policy, from the price of time to one (arm, batch size). Pure."""
