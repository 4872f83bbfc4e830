"""The host daemon: sandboxes, images, addresses and the data plane of one machine."""
