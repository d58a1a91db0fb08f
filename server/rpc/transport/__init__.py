"""Calls on gRPC's C core: accepted, bounded, received and answered; knows no message of ours."""
