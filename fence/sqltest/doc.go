// Package sqltest has no code, only tests: they run the SQL part of package fence
// on SQLite and, where its programs are there, on PostgreSQL. It is a module of
// its own, so that the databases stay out of Conch's.
//
//	cd fence/sqltest && go test ./...
package sqltest
