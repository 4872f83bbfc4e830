"""The OpenFaaS REST API of a junctiond host: provider and gateway in one stateless process.

A table of handlers (`provider.routes`) plus one `serve()` (`provider.serve`). Every handler decodes a
request, makes one call to the host API and encodes the answer; all state lives behind that API.
docs/contract.md says what of the OpenFaaS API is served and where it deliberately differs.
"""
