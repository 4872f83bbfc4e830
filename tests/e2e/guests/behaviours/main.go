// Behaviours is a guest that does on request what functions do by accident: crash, eat memory, sleep, stream, never listen.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func number(request *http.Request, name string, fallback int) int {
	if value, err := strconv.Atoi(request.URL.Query().Get(name)); err == nil {
		return value
	}
	return fallback
}

// crash ends the process in the middle of an answer, or before its first byte.
func crash(w http.ResponseWriter, request *http.Request) {
	if request.URL.Query().Get("late") != "" {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte("the beginning"))
		w.(http.Flusher).Flush()
	}
	fmt.Println("crashing as asked")
	os.Exit(3)
}

// eat takes memory and touches it until something stops it.
func eat(http.ResponseWriter, *http.Request) {
	var kept [][]byte
	for {
		block := make([]byte, 8<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
		time.Sleep(time.Millisecond)
	}
}

func nap(w http.ResponseWriter, request *http.Request) {
	time.Sleep(time.Duration(number(request, "ms", 100)) * time.Millisecond)
	fmt.Fprintln(w, "awake")
}

// drip sends `count` chunks, `ms` apart, each flushed.
func drip(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range number(request, "count", 5) {
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
		time.Sleep(time.Duration(number(request, "ms", 100)) * time.Millisecond)
	}
}

// mirror tells what arrived: request line, headers, and the body as it is.
func mirror(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "%s %s\nHost: %s\nlength %d chunked %v\n", request.Method, request.RequestURI,
		request.Host, request.ContentLength, request.TransferEncoding)
	for name, values := range request.Header {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(values, " | "))
	}
	fmt.Fprintf(w, "\n%s", body)
}

// upgrade speaks a protocol of its own after 101: every line comes back in upper case.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	connection, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	fmt.Fprint(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\n")
	lines := bufio.NewScanner(buffered)
	for lines.Scan() {
		fmt.Fprintln(connection, strings.ToUpper(lines.Text()))
	}
}

// call fetches ?url= from inside the sandbox.
func call(w http.ResponseWriter, request *http.Request) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(request.URL.Query().Get("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func lookup(w http.ResponseWriter, request *http.Request) {
	addresses, err := net.LookupHost(request.URL.Query().Get("name"))
	fmt.Fprintln(w, addresses, err)
}

func facts(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname()
	_, writable := os.Create("/written-by-the-guest")
	fmt.Fprintf(w, "hostname %s\nuid %d\nroot writable %v\ntmp writable %v\n", host, os.Getuid(),
		writable == nil, os.WriteFile("/tmp/x", nil, 0o600) == nil)
	for _, pair := range os.Environ() {
		fmt.Fprintln(w, "env", pair)
	}
}

func descriptors(w http.ResponseWriter, _ *http.Request) {
	var kept []net.Conn
	var failure error
	for failure == nil && len(kept) < 100000 {
		var connection net.Conn
		if connection, failure = net.Dial("tcp", "127.0.0.1:8080"); failure == nil {
			kept = append(kept, connection)
		}
	}
	for _, connection := range kept {
		connection.Close()
	}
	fmt.Fprintln(w, len(kept), failure)
}

func shout(w http.ResponseWriter, request *http.Request) {
	fmt.Println(strings.Repeat("x", number(request, "size", 1<<20)))
	fmt.Fprintln(w, "shouted")
}

func main() {
	fmt.Println("the guest starts")
	if os.Getenv("NEVER_LISTEN") != "" {
		fmt.Println("waiting for a database that is not there")
		select {}
	}
	if delay, err := time.ParseDuration(os.Getenv("LISTEN_AFTER")); err == nil {
		time.Sleep(delay)
	}
	if os.Getenv("EXIT_AT_ONCE") != "" {
		fmt.Println("configuration missing: giving up")
		os.Exit(7)
	}
	for path, handler := range map[string]http.HandlerFunc{
		"/crash": crash, "/eat": eat, "/nap": nap, "/drip": drip, "/upgrade": upgrade, "/call": call,
		"/lookup": lookup, "/facts": facts, "/descriptors": descriptors, "/shout": shout, "/": mirror,
	} {
		http.HandleFunc(path, handler)
	}
	server := &http.Server{Addr: ":8080"}
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		fmt.Println("asked to stop")
		os.Exit(0)
	}()
	fmt.Println(server.ListenAndServe())
}
