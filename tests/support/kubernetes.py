"""The variables that Kubernetes puts into containers."""


def a_service(name: str, address: str = "10.96.12.7") -> dict[str, str]:
    """All that Kubernetes puts into every container of the namespace for a Service of this name with two ports."""
    ports = {"GRPC": ("TCP", 8001), "METRICS": ("TCP", 8002), "LOGS_1": ("UDP", 5140)}
    found = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": "8001"}
    found[f"{name}_PORT"] = f"tcp://{address}:8001"
    for port, (protocol, number) in ports.items():
        each = f"{name}_PORT_{number}_{protocol}"
        found |= {
            f"{name}_SERVICE_PORT_{port}": str(number),
            each: f"{protocol.lower()}://{address}:{number}",
            f"{each}_PROTO": protocol.lower(),
            f"{each}_PORT": str(number),
            f"{each}_ADDR": address,
        }
    return found
