"""Machine-level scheduling: which waiting requests join a replica's next iteration, and which decodes stand aside."""
