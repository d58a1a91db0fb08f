"""Making the embedded default family: published weights in, ONNX variants out, without torch."""
