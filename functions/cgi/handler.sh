#!/bin/sh
# Runs once for each request: the body on standard input, the answer on standard output.
echo "method: ${Http_Method:-}"
echo "path: ${Http_Path:-}"
echo "query: ${Http_Query:-}"
echo "body:"
cat
