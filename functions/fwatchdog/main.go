// Command fwatchdog lets the sample images run under any container runtime, as images of the OpenFaaS templates do.
//
// It stands in for of-watchdog, whose Go module is not served to our builds, and was written from the public contract: modes
// http, streaming and serializing, health and readiness, exec_timeout, max_inflight. junctiond never runs it: an image
// with this entrypoint has its fprocess started by the platform itself.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type settings struct {
	mode, upstream, contentType, readyPath string
	fprocess                               []string
	execTimeout, writeTimeout, healthDelay time.Duration
	inflightMax                            int
}

func env(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// duration reads whole seconds or a Go duration; anything else is the default.
func duration(name string, byDefault time.Duration) time.Duration {
	text := os.Getenv(name)
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if value, err := time.ParseDuration(text); err == nil && value >= 0 {
		return value
	}
	return byDefault
}

func load() (settings, error) {
	s := settings{
		mode:         env("mode"),
		upstream:     strings.TrimSuffix(env("http_upstream_url", "upstream_url"), "/"),
		contentType:  env("content_type"),
		readyPath:    env("ready_path"),
		execTimeout:  duration("exec_timeout", 30*time.Second),
		writeTimeout: duration("write_timeout", 30*time.Second),
	}
	s.healthDelay = duration("healthcheck_interval", s.writeTimeout)
	if s.mode == "" {
		s.mode = "streaming"
	}
	if s.contentType == "" {
		s.contentType = "application/octet-stream"
	}
	s.fprocess = strings.Split(env("function_process", "fprocess"), " ")
	s.inflightMax, _ = strconv.Atoi(env("max_inflight"))
	switch {
	case s.fprocess[0] == "":
		return s, errors.New("fprocess is not set")
	case s.mode == "http" && s.upstream == "":
		return s, errors.New("mode=http needs upstream_url")
	case s.mode != "http" && s.mode != "streaming" && s.mode != "serializing":
		return s, errors.New("mode must be http, streaming or serializing")
	}
	return s, nil
}

// startChild runs the function's own server of http mode; its end is ours.
func startChild(fprocess []string) *exec.Cmd {
	child := exec.Command(fprocess[0], fprocess[1:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		log.Fatalf("the function cannot be started: %v", err)
	}
	go func() {
		if err := child.Wait(); err != nil {
			log.Fatalf("the function has ended: %v", err)
		}
	}()
	return child
}

func main() {
	log.SetFlags(log.LstdFlags)
	s, err := load()
	if err != nil {
		log.Fatal(err)
	}
	lock := filepath.Join(os.TempDir(), ".lock")
	var accepting atomic.Bool
	var child *exec.Cmd
	handler := forkHandler(s)
	if s.mode == "http" {
		child = startChild(s.fprocess)
		handler = proxyHandler(s)
	}
	port := env("port")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{
		Addr:              ":" + port,
		Handler:           routes(s, handler, &accepting),
		ReadHeaderTimeout: 30 * time.Second,
	}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	if err := os.WriteFile(lock, nil, 0o660); err != nil {
		log.Fatalf("the lock file cannot be written: %v", err)
	}
	accepting.Store(true)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	if child != nil {
		child.Process.Signal(syscall.SIGTERM)
	}
	accepting.Store(false)
	os.Remove(lock)
	time.Sleep(s.healthDelay)
	ctx, cancel := context.WithTimeout(context.Background(), s.writeTimeout)
	defer cancel()
	server.Shutdown(ctx)
}
