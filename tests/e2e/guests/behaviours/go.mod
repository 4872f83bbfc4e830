module behaviours

go 1.22
