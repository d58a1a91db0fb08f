"""The wire: gRPC front, protobuf conversion, health, reflection, HTTP for operators."""
