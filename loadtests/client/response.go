package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

const (
	headBytesMax = 64 << 10
	lineBytesMax = 256
)

var (
	errHead    = errors.New("response head is malformed")
	errHeadBig = fmt.Errorf("response head exceeds %d bytes", headBytesMax)
	errChunk   = errors.New("chunked body is malformed")
)

type phase uint8

const (
	phaseHead phase = iota
	phaseBody
	phaseUntilClose
	phaseChunkSize
	phaseChunkData
	phaseChunkEnd
	phaseTrailer
)

// decoder takes the bytes of one HTTP/1.1 response at a time (RFC 9112, sections 4 to 7) and keeps only what a
// load generator wants: status, body length, and whether the connection stays open. The usual small answer, which
// arrives in one read, is decoded in place without an allocation.
type decoder struct {
	status    int
	bodyBytes int64
	close     bool

	phase phase
	left  int64
	held  []byte // an unfinished head or line
}

func (d *decoder) reset() {
	*d = decoder{held: d.held[:0]}
}

// feed consumes bytes of the current response; it returns how many were consumed and whether the response is complete.
func (d *decoder) feed(p []byte) (int, bool, error) {
	used := 0
	for {
		n, done, err := d.step(p[used:])
		used += n
		if done || err != nil {
			return used, done, err
		}
		if n == 0 {
			return used, false, nil
		}
	}
}

func (d *decoder) step(p []byte) (int, bool, error) {
	switch d.phase {
	case phaseHead:
		return d.stepHead(p)
	case phaseBody, phaseChunkData:
		n := min(int64(len(p)), d.left)
		d.left -= n
		d.bodyBytes += n
		if d.left > 0 {
			return int(n), false, nil
		}
		if d.phase == phaseBody {
			return int(n), true, nil
		}
		d.phase = phaseChunkEnd
		return int(n), false, nil
	case phaseUntilClose:
		d.bodyBytes += int64(len(p))
		return len(p), false, nil
	default:
		return d.stepLine(p)
	}
}

func (d *decoder) stepHead(p []byte) (int, bool, error) {
	if len(d.held) == 0 {
		if end := bytes.Index(p, []byte("\r\n\r\n")); end >= 0 {
			done, err := d.parseHead(p[:end+2])
			return end + 4, done, err
		}
	}
	before := len(d.held)
	d.held = append(d.held, p...)
	end := bytes.Index(d.held, []byte("\r\n\r\n"))
	if end < 0 {
		if len(d.held) > headBytesMax {
			return len(p), false, errHeadBig
		}
		return len(p), false, nil
	}
	done, err := d.parseHead(d.held[:end+2])
	d.held = d.held[:0]
	return end + 4 - before, done, err
}

// parseHead reads the status line and the three headers that frame the body; it reports whether there is no body.
func (d *decoder) parseHead(head []byte) (bool, error) {
	if len(head) < 14 || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return false, errHead
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil || status < 100 {
		return false, errHead
	}
	d.close = head[7] == '0'
	length, chunked := int64(-1), false
	lines := head[bytes.IndexByte(head, '\n')+1:]
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		name, value, ok := bytes.Cut(bytes.TrimRight(lines[:end], "\r"), []byte(":"))
		lines = lines[end+1:]
		if !ok {
			return false, errHead
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil || length < 0 {
				return false, errHead
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			d.close = bytes.EqualFold(value, []byte("close"))
		}
	}
	if status < 200 { // interim: the real head follows
		d.phase = phaseHead
		return false, nil
	}
	d.status = status
	switch {
	case status == 204 || status == 304 || (length == 0 && !chunked):
		return true, nil
	case chunked:
		d.phase = phaseChunkSize
	case length > 0:
		d.phase, d.left = phaseBody, length
	default:
		d.phase, d.close = phaseUntilClose, true
	}
	return false, nil
}

// stepLine handles the line-shaped parts of a chunked body: a size, the end of a chunk, a trailer field.
func (d *decoder) stepLine(p []byte) (int, bool, error) {
	if len(p) == 0 {
		return 0, false, nil
	}
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		d.held = append(d.held, p...)
		if len(d.held) > lineBytesMax {
			return len(p), false, errChunk
		}
		return len(p), false, nil
	}
	d.held = append(d.held, p[:end]...)
	line := bytes.TrimRight(d.held, "\r")
	defer func() { d.held = d.held[:0] }()
	switch d.phase {
	case phaseChunkSize:
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 16, 64)
		if err != nil || size < 0 {
			return end + 1, false, errChunk
		}
		if d.left = size; size == 0 {
			d.phase = phaseTrailer
		} else {
			d.phase = phaseChunkData
		}
	case phaseChunkEnd:
		if len(line) != 0 {
			return end + 1, false, errChunk
		}
		d.phase = phaseChunkSize
	case phaseTrailer:
		return end + 1, len(line) == 0, nil
	}
	return end + 1, false, nil
}

// ended tells whether an end of file at this point completes the response.
func (d *decoder) ended() bool {
	return d.phase == phaseUntilClose
}
