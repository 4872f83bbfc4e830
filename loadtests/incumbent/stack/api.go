package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/containerd/containerd/errdefs"
	"github.com/gorilla/mux"
	"github.com/openfaas/faas-provider/auth"
	"github.com/openfaas/faas-provider/proxy"
	"github.com/openfaas/faas-provider/types"
)

const (
	callTimeout  = 60 * time.Second
	documentMax  = 1 << 20
	functionName = "{name:[-a-zA-Z_0-9.]+}"
)

// serve answers the part of the provider API that the OpenFaaS gateway and the measurements use.
func serve(ctx context.Context, listen, secrets string, f *functions, resolver addressResolver) error {
	reader := auth.ReadBasicAuthFromDisk{SecretMountPath: secrets}
	credentials, err := reader.Read()
	if err != nil {
		return err
	}
	guarded := func(handler http.HandlerFunc) http.HandlerFunc {
		return auth.DecorateWithBasicAuth(handler, credentials)
	}
	invoke := proxy.NewHandlerFunc(types.FaaSConfig{ReadTimeout: callTimeout}, resolver, false)
	router := mux.NewRouter()
	router.HandleFunc("/function/"+functionName, invoke)
	router.HandleFunc("/function/"+functionName+"/", invoke)
	router.HandleFunc("/function/"+functionName+"/{params:.*}", invoke)
	router.HandleFunc("/system/functions", guarded(f.handleList)).Methods(http.MethodGet)
	router.HandleFunc("/system/functions", guarded(f.handleDeploy)).Methods(http.MethodPost)
	router.HandleFunc("/system/functions", guarded(f.handleRemove)).Methods(http.MethodDelete)
	router.HandleFunc("/system/function/"+functionName, guarded(f.handleStatus)).Methods(http.MethodGet)
	router.HandleFunc("/system/scale-function/"+functionName, guarded(f.handleScale)).Methods(http.MethodPost)
	router.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {}).Methods(http.MethodGet)

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: router, ReadTimeout: callTimeout, WriteTimeout: callTimeout}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (f *functions) handleDeploy(w http.ResponseWriter, r *http.Request) {
	var wanted types.FunctionDeployment
	if !read(w, r, &wanted) {
		return
	}
	answer(w, f.deploy(r.Context(), wanted), http.StatusAccepted)
}

func (f *functions) handleRemove(w http.ResponseWriter, r *http.Request) {
	var wanted types.DeleteFunctionRequest
	if !read(w, r, &wanted) {
		return
	}
	answer(w, f.remove(r.Context(), wanted.FunctionName), http.StatusAccepted)
}

func (f *functions) handleScale(w http.ResponseWriter, r *http.Request) {
	var wanted types.ScaleServiceRequest
	if !read(w, r, &wanted) {
		return
	}
	answer(w, f.scale(r.Context(), mux.Vars(r)["name"], wanted.Replicas), http.StatusOK)
}

func (f *functions) handleStatus(w http.ResponseWriter, r *http.Request) {
	seen, err := f.lookUp(r.Context(), mux.Vars(r)["name"])
	if err != nil {
		answer(w, err, 0)
		return
	}
	write(w, seen.status())
}

func (f *functions) handleList(w http.ResponseWriter, r *http.Request) {
	all, err := f.list(r.Context())
	if err != nil {
		answer(w, err, 0)
		return
	}
	statuses := make([]types.FunctionStatus, len(all))
	for i, seen := range all {
		statuses[i] = seen.status()
	}
	write(w, statuses)
}

func (f found) status() types.FunctionStatus {
	return types.FunctionStatus{
		Name:              f.name,
		Image:             f.image,
		Labels:            &f.labels,
		EnvVars:           f.environment(),
		Replicas:          f.replicas(),
		AvailableReplicas: f.replicas(),
	}
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, documentMax)).Decode(into); err != nil {
		http.Error(w, fmt.Sprintf("the document cannot be read: %s", err), http.StatusBadRequest)
		return false
	}
	return true
}

func write(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // the caller has gone; nobody is left to tell
}

func answer(w http.ResponseWriter, err error, good int) {
	switch {
	case err == nil:
		w.WriteHeader(good)
	case errors.Is(err, errdefs.ErrNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, errdefs.ErrAlreadyExists):
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
