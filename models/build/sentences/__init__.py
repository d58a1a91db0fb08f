"""The embedded family `sentences`: published weights of a text encoder, written as an ONNX graph of our own."""
