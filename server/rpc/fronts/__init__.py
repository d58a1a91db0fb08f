"""What speaks gRPC: the native front where it is built, with its plain requests, or gRPC's own core."""
