package main

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// target is a parsed URL: the IPv4 address to connect to and the bytes of one request.
type target struct {
	address syscall.SockaddrInet4
	wire    []byte
}

// newTarget renders the request once; every invocation sends the same bytes, so that building it costs nothing while measuring.
func newTarget(rawURL, method string, body []byte, headers []string, closeAfter bool) (target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return target{}, fmt.Errorf("URL: %w", err)
	}
	if u.Scheme != "http" {
		return target{}, fmt.Errorf("URL %q: only http:// is spoken here", rawURL)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	resolved, err := net.ResolveTCPAddr("tcp4", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return target{}, fmt.Errorf("URL %q: %w", rawURL, err)
	}
	t := target{address: syscall.SockaddrInet4{Port: resolved.Port}}
	copy(t.address.Addr[:], resolved.IP.To4())

	var wire bytes.Buffer
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, u.RequestURI(), u.Host)
	if method != "GET" && method != "HEAD" {
		fmt.Fprintf(&wire, "Content-Length: %d\r\n", len(body))
	}
	if closeAfter {
		wire.WriteString("Connection: close\r\n")
	}
	for _, header := range headers {
		if !strings.Contains(header, ":") || strings.ContainsAny(header, "\r\n") {
			return target{}, fmt.Errorf("header %q: want \"Name: value\"", header)
		}
		wire.WriteString(header + "\r\n")
	}
	wire.WriteString("\r\n")
	wire.Write(body)
	t.wire = wire.Bytes()
	return t, nil
}
