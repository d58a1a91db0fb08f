"""Decide what to run next: pure functions over the queue, the profiles, the forecast and the time given to them."""
