package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"syscall"
	"time"
)

// tally collects the outcome of each measured invocation. Latencies are kept raw: percentiles of percentiles mean nothing.
type tally struct {
	samplesNs []int64
	codes     map[int]int64
	failures  map[string]int64
	bodyBytes int64 // of the first answer; others are compared with it
	differing int64
}

func newTally(capacity int) *tally {
	return &tally{
		samplesNs: make([]int64, 0, capacity),
		codes:     map[int]int64{},
		failures:  map[string]int64{},
		bodyBytes: -1,
	}
}

func (t *tally) success(latencyNs int64, status int, bodyBytes int64) {
	t.samplesNs = append(t.samplesNs, latencyNs)
	t.codes[status]++
	if t.bodyBytes < 0 {
		t.bodyBytes = bodyBytes
	} else if t.bodyBytes != bodyBytes {
		t.differing++
	}
}

func (t *tally) failure(stage string) { t.failures[stage]++ }

// report is the JSON this program prints; loadtests/client.py mirrors it.
type report struct {
	Mode         string           `json:"mode"`
	Connections  int              `json:"connections"`
	RateRps      float64          `json:"rate_rps"`
	Requests     int              `json:"requests"`
	ElapsedNs    int64            `json:"elapsed_ns"`
	Rps          float64          `json:"rps"`
	Codes        map[string]int64 `json:"codes"`
	Failures     map[string]int64 `json:"failures"`
	Unsent       int              `json:"unsent"`
	BodyBytes    int64            `json:"body_bytes"`
	Differing    int64            `json:"differing"`
	LatencyNs    map[string]int64 `json:"latency_ns"`
	ClientCpuNs  int64            `json:"client_cpu_ns"`
	StartedAtNs  int64            `json:"started_at_ns"`
	FinishedAtNs int64            `json:"finished_at_ns"`
}

func (t *tally) report(mode string, connections int, rate float64, elapsed time.Duration, unsent int) report {
	codes := map[string]int64{}
	for code, count := range t.codes {
		codes[strconv.Itoa(code)] = count
	}
	r := report{
		Mode: mode, Connections: connections, RateRps: rate, Requests: len(t.samplesNs),
		ElapsedNs: elapsed.Nanoseconds(), Codes: codes, Failures: t.failures, Unsent: unsent,
		BodyBytes: t.bodyBytes, Differing: t.differing, LatencyNs: percentiles(t.samplesNs),
	}
	if elapsed > 0 {
		r.Rps = float64(len(t.samplesNs)) / elapsed.Seconds()
	}
	return r
}

// percentiles uses the nearest-rank definition: the smallest sample with at least that share at or below it.
func percentiles(samples []int64) map[string]int64 {
	out := map[string]int64{}
	if len(samples) == 0 {
		return out
	}
	sorted := append([]int64(nil), samples...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	for name, permille := range map[string]int{"p50": 500, "p90": 900, "p99": 990, "p999": 999} {
		rank := (len(sorted)*permille + 999) / 1000
		out[name] = sorted[max(rank, 1)-1]
	}
	out["min"], out["max"] = sorted[0], sorted[len(sorted)-1]
	return out
}

// writeSamples stores latencies as little-endian int64 nanoseconds in order of completion.
func writeSamples(path string, samples []int64) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	buffered := bufio.NewWriter(file)
	if err := binary.Write(buffered, binary.LittleEndian, samples); err != nil {
		_ = file.Close()
		return fmt.Errorf("samples: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		_ = file.Close()
		return fmt.Errorf("samples: %w", err)
	}
	return file.Close()
}

func (r report) print(out io.Writer) error {
	return json.NewEncoder(out).Encode(r)
}

// cpuNs is the CPU time this process has used, so that it can be kept apart from the platform's.
func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
