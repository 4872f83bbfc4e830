//go:build tools

// Package tools pins the OpenFaaS gateway, unmodified, that measurements run beside junctiond.
package tools

import _ "github.com/openfaas/faas/gateway"
