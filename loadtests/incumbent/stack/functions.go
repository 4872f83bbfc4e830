package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd"
	"github.com/containerd/containerd/cio"
	"github.com/containerd/containerd/errdefs"
	"github.com/containerd/containerd/oci"
	"github.com/containerd/containerd/remotes/docker"
	runcoptions "github.com/containerd/containerd/runtime/v2/runc/options"
	"github.com/openfaas/faas-provider/types"
)

const stopWait = 5 * time.Second

// functions are containers of one containerd namespace, each with at most one task.
type functions struct {
	client      *containerd.Client
	network     *network
	snapshotter string
	runtimeRoot string
	changed     func(name string)
}

func (f *functions) tell(name string) {
	if f.changed != nil {
		f.changed(name)
	}
}

// deploy makes the container of a function and starts it; the image is pulled only where it is missing.
func (f *functions) deploy(ctx context.Context, wanted types.FunctionDeployment) error {
	image, err := f.image(ctx, wanted.Image)
	if err != nil {
		return err
	}
	env := []string{}
	for key, value := range wanted.EnvVars {
		env = append(env, key+"="+value)
	}
	options := []containerd.NewContainerOpts{
		containerd.WithImage(image),
		containerd.WithSnapshotter(f.snapshotter),
		containerd.WithNewSnapshot(wanted.Service+"-snapshot", image),
		containerd.WithNewSpec(oci.WithImageConfig(image), oci.WithEnv(env), oci.WithHostname(wanted.Service)),
		containerd.WithRuntime("io.containerd.runc.v2", &runcoptions.Options{Root: f.runtimeRoot}),
	}
	if wanted.Labels != nil {
		options = append(options, containerd.WithContainerLabels(*wanted.Labels))
	}
	container, err := f.client.NewContainer(ctx, wanted.Service, options...)
	if err != nil {
		return fmt.Errorf("container %s: %w", wanted.Service, err)
	}
	return f.start(ctx, container)
}

func (f *functions) image(ctx context.Context, reference string) (containerd.Image, error) {
	image, err := f.client.GetImage(ctx, reference)
	if err == nil {
		return image, nil
	}
	resolver := docker.NewResolver(docker.ResolverOptions{
		Hosts: docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost)),
	})
	image, err = f.client.Pull(ctx, reference, containerd.WithPullUnpack, containerd.WithResolver(resolver),
		containerd.WithPullSnapshotter(f.snapshotter))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", reference, err)
	}
	return image, nil
}

// start makes a task with a network. Its output goes nowhere: no log process per function, unlike faasd.
func (f *functions) start(ctx context.Context, container containerd.Container) error {
	task, err := container.NewTask(ctx, cio.NullIO)
	if err != nil {
		return fmt.Errorf("task of %s: %w", container.ID(), err)
	}
	if err := f.network.attach(ctx, container.ID(), task.Pid()); err != nil {
		_, _ = task.Delete(ctx, containerd.WithProcessKill)
		return err
	}
	f.tell(container.ID())
	if err := task.Start(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", container.ID(), err)
	}
	return nil
}

// stop ends a function's task, if it has one: SIGTERM, and SIGKILL after a while.
func (f *functions) stop(ctx context.Context, container containerd.Container) error {
	task, err := container.Task(ctx, nil)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	f.tell(container.ID())
	if err := f.network.detach(ctx, container.ID(), task.Pid()); err != nil {
		log.Printf("stop %s: %s", container.ID(), err) // ended by itself: its namespace is gone, the task must go too
	}
	exited, err := task.Wait(ctx)
	if err != nil {
		return err
	}
	if err := task.Kill(ctx, syscall.SIGTERM); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return err
	}
	select {
	case <-exited:
	case <-time.After(stopWait):
		log.Printf("stop %s: not ended by SIGTERM within %s", container.ID(), stopWait)
	}
	if _, err = task.Delete(ctx, containerd.WithProcessKill); errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	return err
}

func (f *functions) scale(ctx context.Context, name string, replicas uint64) error {
	container, err := f.client.LoadContainer(ctx, name)
	if err != nil {
		return err
	}
	if replicas == 0 {
		return f.stop(ctx, container)
	}
	seen, err := f.lookUp(ctx, name)
	if err == nil && seen.pid != 0 {
		return nil // more than one replica of a function is not possible here, nor in faasd
	}
	if err := f.stop(ctx, container); err != nil {
		return err
	}
	return f.start(ctx, container)
}

func (f *functions) remove(ctx context.Context, name string) error {
	container, err := f.client.LoadContainer(ctx, name)
	if err != nil {
		return err
	}
	if err := f.stop(ctx, container); err != nil {
		return err
	}
	return container.Delete(ctx, containerd.WithSnapshotCleanup)
}

func (f *functions) list(ctx context.Context) ([]found, error) {
	containers, err := f.client.Containers(ctx)
	if err != nil {
		return nil, err
	}
	all := []found{}
	for _, container := range containers {
		seen, err := f.lookUp(ctx, container.ID())
		if errors.Is(err, errdefs.ErrNotFound) {
			continue // removed meanwhile
		} else if err != nil {
			return nil, err
		}
		all = append(all, seen)
	}
	return all, nil
}

// environment gives the variables back as the API shows them.
func (f found) environment() map[string]string {
	variables := map[string]string{}
	for _, one := range f.env {
		name, value, _ := strings.Cut(one, "=")
		variables[name] = value
	}
	return variables
}
