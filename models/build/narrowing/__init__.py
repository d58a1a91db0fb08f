"""Networks in narrower precisions: written, calibrated, compared on held-out rows."""
