module junctiond/openfaas-gateway

go 1.22

require github.com/openfaas/faas/gateway v0.0.0-20230317100158-e44448c5dca2
