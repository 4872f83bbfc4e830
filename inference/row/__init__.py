"""A row of GPU servers behind one power limit: requests, power at one-second bins, and the controller that watches it."""
