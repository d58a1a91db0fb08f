"""Published candidates beside live traffic: found, measured, tried, promoted or rolled back."""
