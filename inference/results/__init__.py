"""What a run leaves: columns, their summary, and files that others read (Parquet, HTML, Chrome trace)."""
