"""The front in C++ (native/front), where it has been built: the same calls and handlers as on gRPC's C core."""
