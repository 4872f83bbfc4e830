//go:build tools

// Package tools pins faas-cli, the unmodified client that the tests drive.
package tools

import _ "github.com/openfaas/faas-cli"
