package main

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// loop drives many connections from one thread by epoll. Closed: every connection sends again when its answer is in.
// Open: requests come due by the clock, whatever the answers do, and a latency counts from the time the request was
// due (no coordinated omission: a stalled server cannot hide by slowing down its own load).
type loop struct {
	o      options
	target target
	epoll  int
	timer  int
	links  []*link
	idle   []*link
	due    []int64 // open loop: due times not sent yet, oldest first
	issued int64   // open loop: requests that came due so far
	began  time.Time
	warmNs int64
	stopNs int64
	result *tally
	buffer []byte
	busy   int
}

type link struct {
	index   int32
	fd      int
	since   int64
	rest    []byte
	decoder decoder
	waiting bool
}

const eventsMax = 256

// runLoop returns the outcomes, the measured time and the number of requests that came due and were never sent.
func runLoop(o options, t target) (*tally, time.Duration, int, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("epoll: %w", err)
	}
	defer func() { _ = syscall.Close(epoll) }()
	l := &loop{
		o: o, target: t, epoll: epoll, timer: -1, buffer: make([]byte, 64<<10), began: time.Now(),
		warmNs: o.warmup.Nanoseconds(), stopNs: (o.warmup + o.duration).Nanoseconds(),
		result: newTally(1 << 20),
	}
	if o.rate > 0 {
		if err := l.addTimer(); err != nil {
			return nil, 0, 0, err
		}
		defer func() { _ = syscall.Close(l.timer) }()
	}
	for i := range o.connections {
		one := &link{index: int32(i), fd: -1}
		l.links = append(l.links, one)
		l.idle = append(l.idle, one)
	}
	if err := l.run(); err != nil {
		return nil, 0, 0, err
	}
	for _, one := range l.links {
		l.drop(one)
	}
	return l.result, o.duration, len(l.due), nil
}

func (l *loop) nowNs() int64 { return time.Since(l.began).Nanoseconds() }

func (l *loop) run() error {
	events := make([]syscall.EpollEvent, eventsMax)
	graceNs := l.stopNs + l.o.timeout.Nanoseconds()
	for {
		now := l.nowNs()
		if now < l.stopNs {
			l.issue(now)
		} else if l.busy == 0 && len(l.due) == 0 {
			return nil
		} else if now > graceNs {
			l.abandon()
			return nil
		} else {
			l.drain()
		}
		waitMs := 100
		if len(l.idle) > 0 && l.o.rate == 0 {
			waitMs = 1 // a refused connection is tried again, at a pace that does not flood
		}
		n, err := syscall.EpollWait(l.epoll, events, waitMs)
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for i := range max(n, 0) {
			l.handle(events[i])
		}
	}
}

// issue sends what is due: in a closed loop on every idle connection, in an open one by the clock.
func (l *loop) issue(now int64) {
	if l.o.rate == 0 {
		for range len(l.idle) {
			l.send(l.takeIdle(), l.nowNs())
		}
		return
	}
	for {
		next := int64(float64(l.issued) * 1e9 / l.o.rate)
		if next > now || next >= l.stopNs {
			l.arm(next)
			break
		}
		l.due = append(l.due, next)
		l.issued++
	}
	l.drain()
}

func (l *loop) drain() {
	sent := 0
	for tries := len(l.idle); tries > 0 && sent < len(l.due); tries-- {
		l.send(l.takeIdle(), l.due[sent])
		sent++
	}
	l.due = l.due[sent:]
}

func (l *loop) takeIdle() *link {
	one := l.idle[0]
	l.idle = l.idle[1:]
	return one
}

func (l *loop) send(one *link, since int64) {
	one.since, one.waiting = since, true
	l.busy++
	if one.fd < 0 {
		fd, err := dial(&l.target.address, true, 0)
		if err != nil {
			l.finish(one, "connect")
			return
		}
		one.fd = fd
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT | epollEdge, Fd: one.index}
		if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			l.finish(one, "connect")
			return
		}
	}
	one.decoder.reset()
	one.rest = l.target.wire
	l.flush(one)
}

// epollEdge is EPOLLET, which the syscall package has as a negative number.
const epollEdge = 1 << 31

func (l *loop) flush(one *link) {
	for len(one.rest) > 0 {
		n, err := syscall.Write(one.fd, one.rest)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN || err == syscall.ENOTCONN:
			return
		case err != nil:
			l.finish(one, "write")
			return
		default:
			one.rest = one.rest[n:]
		}
	}
}

func (l *loop) handle(event syscall.EpollEvent) {
	if event.Fd == timerMark {
		_, _ = syscall.Read(l.timer, l.buffer[:8])
		return
	}
	one := l.links[event.Fd]
	if one.fd < 0 {
		return
	}
	if one.waiting && len(one.rest) > 0 && event.Events&syscall.EPOLLOUT != 0 {
		l.flush(one)
	}
	if one.fd >= 0 && event.Events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR|syscall.EPOLLRDHUP) != 0 {
		l.read(one)
	}
}

func (l *loop) read(one *link) {
	for {
		n, err := syscall.Read(one.fd, l.buffer)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return
		case err != nil:
			l.finish(one, "read")
			return
		case n == 0:
			l.closed(one)
			return
		}
		if !one.waiting {
			l.drop(one) // bytes that nobody asked for
			return
		}
		_, done, err := one.decoder.feed(l.buffer[:n])
		if err != nil {
			l.finish(one, "decode")
			return
		}
		if done {
			l.finish(one, "")
			return // at most one response is outstanding, so nothing can follow
		}
		if n < len(l.buffer) {
			return
		}
	}
}

// closed handles an end of file: a complete answer, an idle connection let go, or a failure.
func (l *loop) closed(one *link) {
	switch {
	case !one.waiting:
		l.drop(one)
	case one.decoder.ended():
		one.decoder.close = true
		l.finish(one, "")
	default:
		l.finish(one, "closed")
	}
}

// finish settles the outstanding request of a connection, as failed at a stage or (stage empty) as answered.
func (l *loop) finish(one *link, stage string) {
	now := l.nowNs()
	one.waiting, one.rest = false, nil
	l.busy--
	measured := one.since >= l.warmNs
	switch {
	case stage != "":
		l.drop(one)
		if measured {
			l.result.failure(stage)
		}
	default:
		// A closed loop counts answers inside the window only, so that count over window is a rate; an open loop
		// must keep late answers, they are what it is looking for.
		if measured && (l.o.rate > 0 || now <= l.stopNs) {
			l.result.success(now-one.since, one.decoder.status, one.decoder.bodyBytes)
		}
		if one.decoder.close || l.o.fresh {
			l.drop(one)
		}
	}
	l.idle = append(l.idle, one)
}

func (l *loop) drop(one *link) {
	if one.fd >= 0 {
		_ = syscall.Close(one.fd)
		one.fd = -1
	}
}

func (l *loop) abandon() {
	for _, one := range l.links {
		if one.waiting {
			l.finish(one, "timeout")
		}
	}
}

const timerMark = int32(-1)

// addTimer registers a timerfd: epoll's own timeout has milliseconds, and requests come due in microseconds.
func (l *loop) addTimer() error {
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, 1 /* CLOCK_MONOTONIC */, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return fmt.Errorf("timerfd: %w", errno)
	}
	l.timer = int(fd)
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: timerMark}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, l.timer, &event); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	return nil
}

// arm sets the timer to a due time of this loop's clock.
func (l *loop) arm(atNs int64) {
	delay := max(atNs-l.nowNs(), 1)
	var spec [32]byte // struct itimerspec: interval (unused), then value, each seconds and nanoseconds
	binary.NativeEndian.PutUint64(spec[16:], uint64(delay/1e9))
	binary.NativeEndian.PutUint64(spec[24:], uint64(delay%1e9))
	_, _, _ = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(l.timer), 0, uintptr(unsafe.Pointer(&spec[0])), 0, 0, 0)
}
