"""torch as a runtime: ONNX graphs and exported programs as modules, on the CPU and on CUDA."""
