"""Models of hardware: latency, KV memory, links, power, energy, carbon and cost, from profiles with a provenance."""
