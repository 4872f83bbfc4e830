"""A program of the Go toolchain that is installed, copied and run: the proof that its system calls are known."""

import os
import subprocess
from pathlib import Path

import pytest

from junctiond.golang import copy, elf
from junctiond.settings import SettingsError, load

SOURCE = """package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go serve(listener)
	var wait sync.WaitGroup
	for client := range 8 {
		wait.Add(1)
		go func() { defer wait.Done(); talk(listener.Addr().String(), client) }()
	}
	wait.Wait()
	child, err := exec.Command("/bin/echo", "child").Output()
	check(err)
	_, err = os.Open("/no/such/file")
	fmt.Print(string(child), err, "\\n", "done\\n")
}

func serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		check(err)
		go func() { io.Copy(conn, conn); conn.Close() }()
	}
}

func talk(address string, client int) {
	conn, err := net.Dial("tcp", address)
	check(err)
	for round := range 200 {
		said := strings.Repeat(fmt.Sprint(client, round, ";"), 500)
		go conn.Write([]byte(said))
		heard := make([]byte, len(said))
		_, err = io.ReadFull(conn, heard)
		check(err)
		if string(heard) != said {
			panic("bytes differ")
		}
	}
	conn.Close()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(SOURCE)
    (folder / "go.mod").write_text("module twin\n\ngo 1.22\n")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    subprocess.run(["go", "build", "-o", "twin", "."], cwd=folder, env=environment, check=True)
    return folder / "twin"


@pytest.fixture(scope="module")
def shim() -> bytes:
    try:
        return load(environment=os.environ).binary("jgo").read_bytes()
    except SettingsError:
        pytest.skip("jgo was not built")


def test_a_copy_behaves_as_its_original(original: Path, shim: bytes) -> None:
    copied = original.with_name("copy")
    copied.write_bytes(copy.make(original.read_bytes(), shim))
    copied.chmod(0o755)
    runs = [
        subprocess.run([str(path)], capture_output=True, timeout=60, check=False)
        for path in (original, copied)
    ]
    assert runs[0].stdout.endswith(b"done\n"), runs[0].stderr.decode()
    assert (runs[1].returncode, runs[1].stdout, runs[1].stderr) == (
        runs[0].returncode,
        runs[0].stdout,
        runs[0].stderr,
    )


def test_a_stripped_program_is_known_as_well(original: Path, shim: bytes) -> None:
    stripped = original.with_name("stripped")
    subprocess.run(["strip", "-o", str(stripped), str(original)], check=True)
    assert elf.parse(copy.make(stripped.read_bytes(), shim)).loads()
