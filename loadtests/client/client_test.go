package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// decode feeds a response in pieces of one size, and reports the decoder and whether it found the end.
func decode(t *testing.T, wire string, piece int) (*decoder, bool) {
	t.Helper()
	d := &decoder{}
	for at := 0; at < len(wire); {
		end := min(at+piece, len(wire))
		n, done, err := d.feed([]byte(wire[at:end]))
		if err != nil {
			t.Fatalf("piece %d: %v", piece, err)
		}
		at += n
		if done {
			if at != len(wire) {
				t.Fatalf("piece %d: ended at %d of %d", piece, at, len(wire))
			}
			return d, true
		}
		if n == 0 {
			t.Fatalf("piece %d: no progress at %d", piece, at)
		}
	}
	return d, false
}

func TestDecoderInPieces(t *testing.T) {
	cases := []struct {
		name, wire string
		status     int
		body       int64
		closes     bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, false},
		{"empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, 0, false},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, 0, false},
		{"close", "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx", 502, 1, true},
		{"old", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 1, true},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n", 200, 6, false},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 2, false},
	}
	for _, c := range cases {
		for piece := 1; piece <= len(c.wire); piece++ {
			d, done := decode(t, c.wire, piece)
			if !done || d.status != c.status || d.bodyBytes != c.body || d.close != c.closes {
				t.Fatalf("%s, piece %d: done=%v %+v", c.name, piece, done, d)
			}
		}
	}
}

func TestDecoderUntilClose(t *testing.T) {
	d, done := decode(t, "HTTP/1.1 200 OK\r\n\r\nsome", 3)
	if done || !d.ended() || d.bodyBytes != 4 {
		t.Fatalf("done=%v %+v", done, d)
	}
}

func TestDecoderRefusesGarbage(t *testing.T) {
	for _, wire := range []string{
		"SMTP 220 hello there\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		d := &decoder{}
		if _, done, err := d.feed([]byte(wire)); done || err == nil {
			t.Errorf("%q was taken", wire)
		}
	}
	d := &decoder{}
	if _, _, err := d.feed(make([]byte, headBytesMax+1)); err == nil {
		t.Error("an endless head was taken")
	}
}

func serve(t *testing.T, handler http.HandlerFunc) (options, *atomic.Int64) {
	t.Helper()
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return options{
		url: server.URL + "/function/aes", method: "POST", mode: "sequential", bodyBytes: 600, connections: 1,
		requests: 50, warmupRequests: 5, warmup: 20 * time.Millisecond, duration: 150 * time.Millisecond, timeout: 2 * time.Second,
	}, &opened
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(body)
}

func measure(t *testing.T, o options) (*tally, int) {
	t.Helper()
	body, err := o.body()
	if err != nil {
		t.Fatal(err)
	}
	target, err := newTarget(o.url, o.method, body, o.headers, o.fresh)
	if err != nil {
		t.Fatal(err)
	}
	if o.mode == "sequential" {
		result, _ := runSequential(o, target)
		return result, 0
	}
	result, _, unsent, err := runLoop(o, target)
	if err != nil {
		t.Fatal(err)
	}
	return result, unsent
}

func TestSequentialKeepsOneConnection(t *testing.T) {
	o, opened := serve(t, echo)
	result, _ := measure(t, o)
	if len(result.samplesNs) != 50 || result.codes[200] != 50 || result.bodyBytes != 600 || result.differing != 0 {
		t.Fatalf("%+v", result)
	}
	if opened.Load() != 1 {
		t.Fatalf("%d connections", opened.Load())
	}
}

func TestSequentialFreshConnections(t *testing.T) {
	o, opened := serve(t, echo)
	o.fresh = true
	if result, _ := measure(t, o); result.codes[200] != 50 || opened.Load() != 55 {
		t.Fatalf("%d connections, %+v", opened.Load(), result.codes)
	}
}

func TestClosedLoop(t *testing.T) {
	o, opened := serve(t, echo)
	o.mode, o.connections = "closed", 8
	result, _ := measure(t, o)
	if result.codes[200] == 0 || len(result.failures) != 0 || result.differing != 0 || opened.Load() != 8 {
		t.Fatalf("%d connections, codes %v, failures %v", opened.Load(), result.codes, result.failures)
	}
}

func TestClosedLoopFreshAndLarge(t *testing.T) {
	o, opened := serve(t, echo)
	o.mode, o.connections, o.fresh, o.bodyBytes = "closed", 4, true, 1<<20
	result, _ := measure(t, o)
	if result.codes[200] == 0 || result.bodyBytes != 1<<20 || len(result.failures) != 0 || opened.Load() < result.codes[200] {
		t.Fatalf("%d connections, codes %v, failures %v", opened.Load(), result.codes, result.failures)
	}
}

func TestOpenLoopCountsFromTheDueTime(t *testing.T) {
	// One answer stalls for 80 ms. On one connection the requests that come due meanwhile wait, and must say so.
	var count atomic.Int64
	o, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == 20 {
			time.Sleep(80 * time.Millisecond)
		}
		echo(w, r)
	})
	o.mode, o.rate, o.warmup = "open", 500, 0
	result, unsent := measure(t, o)
	if unsent != 0 || len(result.samplesNs) < 70 || len(result.samplesNs) > 75 {
		t.Fatalf("%d samples, %d unsent", len(result.samplesNs), unsent)
	}
	late := 0
	for _, sample := range result.samplesNs {
		if sample > (10 * time.Millisecond).Nanoseconds() {
			late++
		}
	}
	if late < 25 {
		t.Fatalf("%d requests waited; about 35 came due in the stall", late)
	}
}

func TestFailuresAreCounted(t *testing.T) {
	o, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	result, _ := measure(t, o)
	if len(result.samplesNs) != 0 || result.failures["closed"]+result.failures["read"] != 50 {
		t.Fatalf("%v", result.failures)
	}
	o.mode = "closed"
	result, _ = measure(t, o)
	if len(result.samplesNs) != 0 || len(result.failures) == 0 {
		t.Fatalf("closed loop: %v", result.failures)
	}
}

func TestPercentilesAreNearestRank(t *testing.T) {
	got := percentiles([]int64{50, 10, 40, 20, 30})
	for name, want := range map[string]int64{"min": 10, "p50": 30, "p90": 50, "p99": 50, "max": 50} {
		if got[name] != want {
			t.Errorf("%s = %d, want %d", name, got[name], want)
		}
	}
}
