module burner

go 1.22
