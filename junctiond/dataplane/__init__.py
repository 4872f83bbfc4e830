"""The control plane's side of jnetd: its protocol, its client, its process."""
