"""What torch saves made ready to be added: programs as they are, scripts as ONNX graphs; pickles are refused."""
