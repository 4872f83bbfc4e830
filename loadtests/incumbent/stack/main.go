// Command stack is an OpenFaaS provider on containerd, runc and a CNI bridge, to be measured beside junctiond.
//
// It is NOT faasd. It stands where faasd's provider would, because the MIT-licensed versions of faasd's module cannot be
// fetched: it uses the same libraries in the same versions (faas-provider's proxy, the containerd client, go-cni) and, for
// every request, the same look-ups that were counted on the real one. See README.md for what differs, and in whose favour.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/containerd/containerd"
)

type options struct {
	containerd  string
	namespace   string
	snapshotter string
	runtimeRoot string
	network     networkOptions
	listen      string
	secrets     string
	resolve     string
}

func parseOptions() options {
	var o options
	flag.StringVar(&o.containerd, "containerd", "/run/containerd/containerd.sock", "containerd's socket")
	flag.StringVar(&o.namespace, "namespace", "openfaas-fn", "containerd namespace of the functions")
	flag.StringVar(&o.snapshotter, "snapshotter", "overlayfs", "containerd snapshotter")
	flag.StringVar(&o.runtimeRoot, "runc-root", "", "folder for runc's state; empty: runc's own default")
	flag.StringVar(&o.network.config, "cni-config", "", "CNI configuration list of the functions' bridge")
	flag.StringVar(&o.network.plugins, "cni-plugins", "/usr/lib/cni", "folder of the CNI plugins")
	flag.StringVar(&o.network.leases, "cni-leases", "", "folder where host-local keeps one file per address")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:8081", "address of the provider's API")
	flag.StringVar(&o.secrets, "secrets", "", "folder with basic-auth-user and basic-auth-password")
	flag.StringVar(&o.resolve, "resolve", "every", "every: look a function up for each request; once: keep its address")
	flag.Parse()
	return o
}

func (o options) check() error {
	switch {
	case o.resolve != "every" && o.resolve != "once":
		return fmt.Errorf("-resolve %q: want every or once", o.resolve)
	case o.network.config == "" || o.network.leases == "" || o.secrets == "":
		return fmt.Errorf("-cni-config, -cni-leases and -secrets are required")
	}
	return nil
}

func run(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	client, err := containerd.New(o.containerd, containerd.WithDefaultNamespace(o.namespace))
	if err != nil {
		return fmt.Errorf("containerd at %s: %w", o.containerd, err)
	}
	defer client.Close()
	network, err := openNetwork(o.network)
	if err != nil {
		return err
	}
	functions := &functions{client: client, network: network, snapshotter: o.snapshotter, runtimeRoot: o.runtimeRoot}
	var resolver addressResolver = everyTime{functions}
	if o.resolve == "once" {
		resolver = newOnce(functions)
	}
	return serve(ctx, o.listen, o.secrets, functions, resolver)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, parseOptions()); err != nil {
		log.Println("stack:", err)
		os.Exit(1)
	}
}
