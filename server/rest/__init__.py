"""REST: the Open Inference Protocol V2 over HTTP/JSON, with Triton's binary data, on a port of its own."""
