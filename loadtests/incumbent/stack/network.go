package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	gocni "github.com/containerd/go-cni"
)

type networkOptions struct {
	config  string
	plugins string
	leases  string
}

// network attaches tasks to a CNI bridge and finds their addresses in host-local's lease files.
type network struct {
	cni    gocni.CNI
	leases string
}

func openNetwork(o networkOptions) (*network, error) {
	cni, err := gocni.New(
		gocni.WithPluginDir([]string{o.plugins}),
		gocni.WithInterfacePrefix("eth"),
		gocni.WithConfListFile(o.config),
	)
	if err != nil {
		return nil, fmt.Errorf("CNI configuration %s: %w", o.config, err)
	}
	return &network{cni: cni, leases: o.leases}, nil
}

// leaseName is what host-local notes for a task; the process id makes it another one after each start.
func leaseName(function string, pid uint32) string { return fmt.Sprintf("%s-%d", function, pid) }

func namespacePath(pid uint32) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }

func (n *network) attach(ctx context.Context, function string, pid uint32) error {
	if _, err := n.cni.Setup(ctx, leaseName(function, pid), namespacePath(pid)); err != nil {
		return fmt.Errorf("network of %s: %w", function, err)
	}
	return nil
}

// detach gives the address back. The task must still live: its namespace is how the plugin finds the interface.
func (n *network) detach(ctx context.Context, function string, pid uint32) error {
	if err := n.cni.Remove(ctx, leaseName(function, pid), namespacePath(pid)); err != nil {
		return fmt.Errorf("network of %s: %w", function, err)
	}
	return nil
}

// address reads every lease until one names the task, as there is no index by name.
func (n *network) address(function string, pid uint32) (string, error) {
	wanted := []byte(leaseName(function, pid))
	entries, err := os.ReadDir(n.leases)
	if err != nil {
		return "", fmt.Errorf("leases: %w", err)
	}
	for _, entry := range entries {
		if net.ParseIP(entry.Name()) == nil { // lock and last_reserved_ip.0
			continue
		}
		content, err := os.ReadFile(filepath.Join(n.leases, entry.Name()))
		if err != nil {
			continue // given back meanwhile
		}
		if first, _, _ := bytes.Cut(content, []byte("\n")); bytes.Equal(bytes.TrimSpace(first), wanted) {
			return entry.Name(), nil
		}
	}
	return "", fmt.Errorf("no address is leased to %s", wanted)
}
