"""DynamoLLM (2408.00741): DY1 to DY5 and DY7 to DY12. DY6 is a headline that no experiment of the paper derives: left out."""
