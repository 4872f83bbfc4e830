package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/errdefs"
	"github.com/openfaas/faas-provider/proxy"
)

const functionPort = "8080"

type addressResolver = proxy.BaseURLResolver

// found is what one look-up learns of a function.
type found struct {
	name    string
	image   string
	labels  map[string]string
	env     []string
	pid     uint32
	address string // empty while no task runs
}

func (f found) replicas() uint64 {
	if f.address == "" {
		return 0
	}
	return 1
}

// lookUp asks containerd for everything about a function: 5 x Containers.Get, 1 x Images.Get and, with a task, 2 x
// Tasks.Get, which go on to the shim; then it scans the leases. That many were counted for each call of faasd's provider
// (containerd's own gRPC metrics), which makes them for a status query and for every invocation alike.
func (f *functions) lookUp(ctx context.Context, name string) (found, error) {
	container, err := f.client.LoadContainer(ctx, name)
	if err != nil {
		return found{}, err
	}
	labels, err := container.Labels(ctx)
	if err != nil {
		return found{}, err
	}
	image, err := container.Image(ctx)
	if err != nil {
		return found{}, err
	}
	if _, err := container.Info(ctx); err != nil {
		return found{}, err
	}
	spec, err := container.Spec(ctx)
	if err != nil {
		return found{}, err
	}
	seen := found{name: name, image: image.Name(), labels: labels, env: spec.Process.Env}
	task, err := container.Task(ctx, nil)
	if errors.Is(err, errdefs.ErrNotFound) {
		return seen, nil
	} else if err != nil {
		return found{}, err
	}
	status, err := task.Status(ctx)
	if err != nil {
		return found{}, err
	}
	if status.Status == containerd.Running {
		seen.pid = task.Pid()
		seen.address, err = f.network.address(name, seen.pid)
	}
	return seen, err
}

// everyTime looks a function up for each request, as faasd does.
type everyTime struct{ functions *functions }

func (r everyTime) Resolve(name string) (url.URL, error) {
	seen, err := r.functions.lookUp(context.Background(), name)
	if err != nil {
		return url.URL{}, err
	}
	if seen.address == "" {
		return url.URL{}, fmt.Errorf("%s has no replica", name)
	}
	return functionURL(seen.address), nil
}

// once looks a function up for its first request and again after it changed through this provider.
type once struct {
	functions *functions
	known     sync.Map // name -> url.URL
}

func newOnce(functions *functions) *once {
	resolver := &once{functions: functions}
	functions.changed = func(name string) { resolver.known.Delete(name) }
	return resolver
}

func (r *once) Resolve(name string) (url.URL, error) {
	if address, ok := r.known.Load(name); ok {
		return address.(url.URL), nil
	}
	address, err := everyTime{r.functions}.Resolve(name)
	if err == nil {
		r.known.Store(name, address)
	}
	return address, err
}

func functionURL(address string) url.URL {
	return url.URL{Scheme: "http", Host: address + ":" + functionPort}
}
