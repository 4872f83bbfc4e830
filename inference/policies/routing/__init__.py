"""Cluster-level scheduling: which replica, or which pair of replicas, serves a request."""
