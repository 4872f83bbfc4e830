package main

import (
	"os"
	"path/filepath"
	"testing"
)

func leases(t *testing.T, files map[string]string) *network {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &network{leases: folder}
}

// host-local writes the owner, then the interface, separated by CR LF.
func TestAddressIsTheLeaseOfExactlyThisTask(t *testing.T) {
	n := leases(t, map[string]string{
		"10.214.1.3":         "aes-12\r\neth0",
		"10.214.1.4":         "my-aes-1\r\neth0",
		"10.214.1.5":         "aes-1\r\neth0",
		"last_reserved_ip.0": "aes-1",
		"lock":               "",
	})
	address, err := n.address("aes", 1)
	if err != nil || address != "10.214.1.5" {
		t.Fatalf("got %q, %v", address, err)
	}
}

func TestAddressOfAnUnknownTaskIsAnError(t *testing.T) {
	if address, err := leases(t, nil).address("aes", 1); err == nil {
		t.Fatalf("got %q", address)
	}
}

func TestOptionsNameWhatIsMissing(t *testing.T) {
	if err := (options{resolve: "never"}).check(); err == nil {
		t.Fatal("an unknown way to resolve was taken")
	}
	if err := (options{resolve: "once"}).check(); err == nil {
		t.Fatal("missing folders were taken")
	}
}
