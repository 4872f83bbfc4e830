// A function that answers at once, and computes for as long as it is asked to.
package main

import (
	"fmt"
	"log"
	"net/http"
	"runtime"
	"strconv"
	"time"
)

func burn(w http.ResponseWriter, request *http.Request) {
	ms, err := strconv.Atoi(request.URL.Query().Get("ms"))
	if err != nil || ms < 0 || ms > 60_000 {
		http.Error(w, "ms must be a number from 0 to 60000", http.StatusBadRequest)
		return
	}
	end := time.Now().Add(time.Duration(ms) * time.Millisecond)
	go func() {
		// A new thread, so that there is one that starts after the function did.
		runtime.LockOSThread()
		for time.Now().Before(end) {
		}
	}()
	fmt.Fprintln(w, "burning")
}

func main() {
	http.HandleFunc("/burn", burn)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, runtime.NumCPU())
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
