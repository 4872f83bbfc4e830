// A static client: resolves names, calls itself and the gateway, and times out on a peer that is slow.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func get(url string) {
	answer, err := http.Get(url)
	if err != nil {
		fmt.Println(url, err)
		return
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	fmt.Println(url, answer.StatusCode, string(body))
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "self") }))
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	get("http://localhost:" + port + "/")
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", "10.62.0.1:53")
	}}
	addresses, err := resolver.LookupHost(context.Background(), "gateway")
	fmt.Println(addresses, err)
	get("http://10.62.0.1:8080/function/x")
	started := time.Now()
	_, err = net.DialTimeout("tcp", "192.0.2.1:9001", 50*time.Millisecond)
	var failure net.Error
	fmt.Println(errors.As(err, &failure) && failure.Timeout(), time.Since(started) < 5*time.Second)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	fmt.Println(err)
	conn, _ := net.Dial("udp", packets.LocalAddr().String())
	conn.Write([]byte("ping"))
	buffer := make([]byte, 9)
	n, from, err := packets.ReadFrom(buffer)
	fmt.Println(string(buffer[:n]), from.String() == conn.LocalAddr().String(), err)
	interfaces, err := net.InterfaceAddrs()
	fmt.Println(len(interfaces) >= 2, err)
}
