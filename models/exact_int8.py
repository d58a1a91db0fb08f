"""ONNX Runtime's int8 on CPUs without VNNI: its faster kernels saturate in between, and answer something else."""

EXACT_INT8 = ("session.x64quantprecision", "1")
"""A session's entry that has it take kernels which do not; with VNNI it changes nothing. EfficientNet-Lite0 in int8 on
AVX2 alone, correlation of its scores with fp32's: 0.966 without, 0.991 with it, for a quarter more time a row."""
