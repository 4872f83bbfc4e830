// Loadclient measures one HTTP/1.1 URL from a single thread: latencies one after the other, a closed loop of N
// connections, or an open loop at a constant rate, each with kept-alive or with fresh connections. It prints JSON.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

type options struct {
	url            string
	method         string
	mode           string
	bodyBytes      int
	bodyFile       string
	headers        headerList
	connections    int
	requests       int
	warmupRequests int
	warmup         time.Duration
	duration       time.Duration
	timeout        time.Duration
	rate           float64
	fresh          bool
	samples        string
}

type headerList []string

func (h *headerList) String() string { return fmt.Sprint(*h) }

func (h *headerList) Set(value string) error {
	*h = append(*h, value)
	return nil
}

func parseOptions() options {
	var o options
	flag.StringVar(&o.url, "url", "", "http:// URL to invoke")
	flag.StringVar(&o.method, "method", "POST", "request method")
	flag.StringVar(&o.mode, "mode", "sequential", "sequential, closed or open")
	flag.IntVar(&o.bodyBytes, "body-bytes", 600, "length of the generated body")
	flag.StringVar(&o.bodyFile, "body", "", "file to send instead of a generated body")
	flag.Var(&o.headers, "header", "\"Name: value\" to add, repeatable")
	flag.IntVar(&o.connections, "connections", 1, "connections of the closed and the open loop")
	flag.IntVar(&o.requests, "requests", 1000, "requests of the sequential mode")
	flag.IntVar(&o.warmupRequests, "warmup-requests", 100, "unmeasured requests before the sequential mode")
	flag.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "unmeasured time before the loops")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "measured time of the loops")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "longest wait for one answer")
	flag.Float64Var(&o.rate, "rate", 0, "requests per second of the open loop")
	flag.BoolVar(&o.fresh, "fresh", false, "open a new connection for every request")
	flag.StringVar(&o.samples, "samples", "", "file for the raw latencies (little-endian int64, nanoseconds)")
	flag.Parse()
	return o
}

func (o options) check() error {
	switch {
	case o.url == "":
		return fmt.Errorf("-url is missing")
	case o.mode != "sequential" && o.mode != "closed" && o.mode != "open":
		return fmt.Errorf("-mode %q: want sequential, closed or open", o.mode)
	case (o.mode == "open") != (o.rate > 0):
		return fmt.Errorf("-rate goes with -mode open, and only there")
	case o.connections < 1 || o.requests < 1 || o.bodyBytes < 0:
		return fmt.Errorf("-connections and -requests are at least 1, -body-bytes at least 0")
	}
	return nil
}

// body is what to send: a file, or printable bytes that repeat with a period prime to every block size.
func (o options) body() ([]byte, error) {
	if o.bodyFile != "" {
		return os.ReadFile(o.bodyFile)
	}
	body := make([]byte, o.bodyBytes)
	for i := range body {
		body[i] = byte('!' + i%89)
	}
	return body, nil
}

func run(o options) error {
	if err := o.check(); err != nil {
		return err
	}
	body, err := o.body()
	if err != nil {
		return err
	}
	t, err := newTarget(o.url, o.method, body, o.headers, o.fresh)
	if err != nil {
		return err
	}
	// One thread, no collector pauses: a run keeps at most some tens of MiB of samples.
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)

	startedAtNs, cpuBefore := time.Now().UnixNano(), cpuNs()
	var result *tally
	var elapsed time.Duration
	var unsent int
	if o.mode == "sequential" {
		result, elapsed = runSequential(o, t)
	} else if result, elapsed, unsent, err = runLoop(o, t); err != nil {
		return err
	}
	out := result.report(o.mode, o.connections, o.rate, elapsed, unsent)
	out.ClientCpuNs, out.StartedAtNs, out.FinishedAtNs = cpuNs()-cpuBefore, startedAtNs, time.Now().UnixNano()
	if o.samples != "" {
		if err := writeSamples(o.samples, result.samplesNs); err != nil {
			return err
		}
	}
	return out.print(os.Stdout)
}

func main() {
	if err := run(parseOptions()); err != nil {
		fmt.Fprintln(os.Stderr, "loadclient:", err)
		os.Exit(1)
	}
}
