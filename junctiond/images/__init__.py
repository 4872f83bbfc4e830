"""OCI images: pulled or imported, unpacked once, shared by all replicas."""
