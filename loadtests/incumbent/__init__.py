"""junctiond beside the stack it replaces: OpenFaaS gateway, a provider on containerd and runc, and a CNI bridge.

`make bench-faasd` runs `python -m loadtests.incumbent`. README.md says which parts are the real incumbent's, which are ours
and why, and in whose favour they differ.
"""
