// Go: lib/pq and pgx, the checklist of README.md. The drivers read libpq's variables themselves.
package main

import (
	"fmt"
	"os"
)

const (
	large   = "select repeat('x', 262144) from generate_series(1, 64)"
	running = "select count(*) from pg_stat_activity where state = 'active' and query like '%go waits%' and pid <> pg_backend_pid()"
	waits   = "select pg_sleep(60), 'go waits'"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	switch os.Args[1] {
	case "pq":
		withPq()
	case "pgx":
		withPgx()
	}
}
