package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// routes puts health, readiness and the limit of invocations in flight in front of the function.
func routes(s settings, function http.Handler, accepting *atomic.Bool) http.Handler {
	var inflight atomic.Int64
	full := func() bool { return s.inflightMax > 0 && inflight.Load() >= int64(s.inflightMax) }

	mux := http.NewServeMux()
	probe := func(answer func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method != http.MethodGet:
				w.WriteHeader(http.StatusMethodNotAllowed)
			case !accepting.Load():
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				answer(w, r)
			}
		}
	}
	mux.HandleFunc("/_/health", probe(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK") }))
	mux.HandleFunc("/_/ready", probe(func(w http.ResponseWriter, r *http.Request) {
		if full() {
			w.WriteHeader(http.StatusTooManyRequests)
		} else if s.readyPath != "" {
			r.URL.Path = s.readyPath
			function.ServeHTTP(w, r)
		}
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if full() {
			w.Header().Set("X-OpenFaaS-Internal", "faas-middleware")
			http.Error(w, fmt.Sprintf("Concurrent request limit exceeded. Max concurrent requests: %d", s.inflightMax),
				http.StatusTooManyRequests)
			return
		}
		inflight.Add(1)
		defer inflight.Add(-1)
		function.ServeHTTP(w, r)
	})
	return mux
}

// deadline bounds one invocation; zero is no bound.
func deadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// proxyHandler hands each request to the function's own server.
func proxyHandler(s settings) http.Handler {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ctx, cancel := deadline(r.Context(), s.execTimeout)
		defer cancel()
		fail := func(status int) {
			w.Header().Set("X-OpenFaaS-Internal", "of-watchdog")
			w.Header().Set("X-Duration-Seconds", fmt.Sprintf("%f", time.Since(started).Seconds()))
			w.WriteHeader(status)
		}
		request, err := http.NewRequestWithContext(ctx, r.Method, s.upstream+r.URL.RequestURI(), r.Body)
		if err != nil {
			fail(http.StatusInternalServerError)
			return
		}
		request.Header, request.Host, request.ContentLength = r.Header.Clone(), r.Host, r.ContentLength
		response, err := client.Do(request)
		if err != nil {
			log.Printf("upstream: %v", err)
			if errors.Is(err, context.DeadlineExceeded) {
				fail(http.StatusGatewayTimeout)
			} else {
				fail(http.StatusInternalServerError)
			}
			return
		}
		defer response.Body.Close()
		for name, values := range response.Header {
			w.Header()[name] = values
		}
		w.Header().Set("X-Duration-Seconds", fmt.Sprintf("%f", time.Since(started).Seconds()))
		w.WriteHeader(response.StatusCode)
		io.Copy(flusher{w}, response.Body)
	})
}

// flusher sends every piece at once, so that a stream arrives as it is made.
type flusher struct{ http.ResponseWriter }

func (f flusher) Write(data []byte) (int, error) {
	n, err := f.ResponseWriter.Write(data)
	if flush, ok := f.ResponseWriter.(http.Flusher); ok {
		flush.Flush()
	}
	return n, err
}

// forkHandler runs the function's program once for each request.
func forkHandler(s settings) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ctx, cancel := deadline(r.Context(), s.execTimeout)
		defer cancel()
		program := exec.CommandContext(ctx, s.fprocess[0], s.fprocess[1:]...)
		program.Env = append(os.Environ(), requestEnv(r)...)
		program.Stderr = os.Stderr
		w.Header().Set("Content-Type", s.contentType)
		if s.mode == "streaming" {
			program.Stdin, program.Stdout = r.Body, flusher{w}
			if err := program.Run(); err != nil {
				log.Printf("the function failed: %v", err)
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		program.Stdin = bytes.NewReader(body)
		output, err := program.Output()
		w.Header().Set("X-Duration-Seconds", fmt.Sprintf("%f", time.Since(started).Seconds()))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, err.Error())
			return
		}
		w.Write(output)
	})
}

// requestEnv tells the program about the request, one variable for each header.
func requestEnv(r *http.Request) []string {
	list := []string{"Http_Method=" + r.Method, "Http_Path=" + r.URL.Path}
	if r.URL.RawQuery != "" {
		list = append(list, "Http_Query="+r.URL.RawQuery)
	}
	if len(r.TransferEncoding) > 0 {
		list = append(list, "Http_Transfer_Encoding="+r.TransferEncoding[0])
	}
	for name, values := range r.Header {
		list = append(list, "Http_"+strings.ReplaceAll(name, "-", "_")+"="+values[0])
	}
	return list
}
