package main

import (
	"fmt"
	"syscall"
	"time"
)

// dial opens a TCP connection by plain system calls: Go's netpoller would put a goroutine hand-over, and often a
// thread wake-up, into each latency.
func dial(address *syscall.SockaddrInet4, nonblocking bool, timeout time.Duration) (int, error) {
	kind := syscall.SOCK_STREAM | syscall.SOCK_CLOEXEC
	if nonblocking {
		kind |= syscall.SOCK_NONBLOCK
	}
	fd, err := syscall.Socket(syscall.AF_INET, kind, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := prepare(fd, nonblocking, timeout); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	if err := syscall.Connect(fd, address); err != nil && err != syscall.EINPROGRESS {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

func prepare(fd int, nonblocking bool, timeout time.Duration) error {
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("TCP_NODELAY: %w", err)
	}
	if nonblocking {
		return nil
	}
	limit := syscall.NsecToTimeval(timeout.Nanoseconds())
	for _, option := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, option, &limit); err != nil {
			return fmt.Errorf("socket timeout: %w", err)
		}
	}
	return nil
}

// writeAll and readSome are for blocking sockets; EINTR comes from the Go runtime's own signals.
func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := syscall.Write(fd, p)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func readSome(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
