"""What gRPC tells, for fronts that speak JSON."""
