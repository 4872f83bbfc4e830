"""DynamoLLM (2408.00741): request-class pools, and three managers that scale, re-shard and clock them for energy."""
