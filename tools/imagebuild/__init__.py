"""Builds the images of functions/ as OCI layouts, without a Docker daemon and without root.

A layer is a sorted tree of files with fixed owners and times, so the same input gives the same digest. Files come from
this repository, from a Go build, and from Debian packages that apt downloads and checks.
"""
