"""The host API: gRPC over a Unix socket (docs/protocols.md, section 6)."""
