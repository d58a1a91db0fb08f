"""The operators' port: metrics, liveness and readiness over HTTP."""
