module junctiond/loadclient

go 1.22
