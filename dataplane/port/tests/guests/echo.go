// A static HTTP server that tells the addresses it sees.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "remote=%s local=%s body=%d\n", r.RemoteAddr, local, len(body))
	})
	if err := http.ListenAndServe(os.Args[1], nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
