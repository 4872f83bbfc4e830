module junctiond/functions/aes

go 1.22
