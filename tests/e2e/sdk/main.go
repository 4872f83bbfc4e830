// Sdk drives a gateway through the library that newer versions of faas-cli are built on, for the verbs that the
// version which can be built here lacks: namespace create, get, update, remove; scale; ready.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/openfaas/faas-provider/types"
	sdk "github.com/openfaas/go-sdk"
)

func namespace(ctx context.Context, client *sdk.Client, verb, name string) (any, error) {
	labels := map[string]string{"openfaas": "1"}
	spec := types.FunctionNamespace{Name: name, Labels: labels, Annotations: labels}
	switch verb {
	case "create":
		return client.CreateNamespace(ctx, spec)
	case "update":
		spec.Labels = map[string]string{"openfaas": "1", "team": "a"}
		return client.UpdateNamespace(ctx, spec)
	case "get":
		return client.GetNamespace(ctx, name)
	case "remove":
		return "removed", client.DeleteNamespace(ctx, name)
	}
	return nil, fmt.Errorf("no verb %q", verb)
}

// ready asks for a function until one replica is available, as `faas-cli ready NAME` does.
func ready(ctx context.Context, client *sdk.Client, name string) (any, error) {
	for range 60 {
		function, err := client.GetFunction(ctx, name, "")
		if err == nil && function.AvailableReplicas > 0 {
			return function.AvailableReplicas, nil
		}
		time.Sleep(time.Second)
	}
	return nil, fmt.Errorf("%s is not ready", name)
}

func run() (any, error) {
	gateway, err := url.Parse(os.Getenv("OPENFAAS_URL"))
	if err != nil {
		return nil, err
	}
	auth := &sdk.BasicAuth{Username: "admin", Password: os.Getenv("PASSWORD")}
	client := sdk.NewClient(gateway, auth, http.DefaultClient)
	ctx, arguments := context.Background(), os.Args[1:]
	switch {
	case len(arguments) == 3 && arguments[0] == "namespace":
		return namespace(ctx, client, arguments[1], arguments[2])
	case len(arguments) == 2 && arguments[0] == "ready":
		return ready(ctx, client, arguments[1])
	case len(arguments) == 3 && arguments[0] == "scale":
		replicas, err := strconv.ParseUint(arguments[2], 10, 32)
		if err != nil {
			return nil, err
		}
		return "scaled", client.ScaleFunction(ctx, arguments[1], "", replicas)
	case len(arguments) == 1 && arguments[0] == "info":
		return client.GetInfo(ctx)
	case len(arguments) == 1 && arguments[0] == "functions":
		return client.GetFunctions(ctx, "")
	}
	return nil, fmt.Errorf("usage: sdk namespace create|get|update|remove NAME | ready NAME | scale NAME N | info | functions")
}

func main() {
	answer, err := run()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	text, _ := json.Marshal(answer)
	fmt.Println(string(text))
}
