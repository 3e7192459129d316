module github.com/conchlock/conch

go 1.26
