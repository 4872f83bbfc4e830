package main

import (
	"syscall"
	"time"
)

// runSequential sends one request after the other from a blocking socket. With fresh true each request opens its own
// connection, and connecting is part of its latency.
func runSequential(o options, t target) (*tally, time.Duration) {
	result := newTally(o.requests)
	link := blockingLink{target: t, timeout: o.timeout, fd: -1, buffer: make([]byte, 64<<10)}
	defer link.close()
	for range o.warmupRequests {
		_, _ = link.exchange(o.fresh)
	}
	began := time.Now()
	for range o.requests {
		start := time.Now()
		stage, err := link.exchange(o.fresh)
		if err != nil {
			result.failure(stage)
			continue
		}
		result.success(time.Since(start).Nanoseconds(), link.decoder.status, link.decoder.bodyBytes)
	}
	return result, time.Since(began)
}

// blockingLink is a connection that is opened on demand and dropped after an error.
type blockingLink struct {
	target  target
	timeout time.Duration
	fd      int
	buffer  []byte
	decoder decoder
}

// exchange does one request and its response; on an error it names the stage that failed.
func (l *blockingLink) exchange(fresh bool) (string, error) {
	if l.fd < 0 {
		fd, err := dial(&l.target.address, false, l.timeout)
		if err != nil {
			return "connect", err
		}
		l.fd = fd
	}
	if err := writeAll(l.fd, l.target.wire); err != nil {
		l.close()
		return "write", err
	}
	l.decoder.reset()
	for {
		n, err := readSome(l.fd, l.buffer)
		if err != nil {
			l.close()
			return "read", err
		}
		if n == 0 {
			l.close()
			if l.decoder.ended() {
				return "", nil
			}
			return "closed", syscall.ECONNRESET
		}
		_, done, err := l.decoder.feed(l.buffer[:n])
		if err != nil {
			l.close()
			return "decode", err
		}
		if done {
			if fresh || l.decoder.close {
				l.close()
			}
			return "", nil
		}
	}
}

func (l *blockingLink) close() {
	if l.fd >= 0 {
		_ = syscall.Close(l.fd)
		l.fd = -1
	}
}
