"""Generated from proto/ by `make proto`; never edited, but for this file: the descriptor pool that all of it is in."""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
"""Not the process's default: tritonclient and others hold the same package names there."""
