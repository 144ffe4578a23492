package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	pool, err := pgxpool.New(context.Background(), "postgres://app@db:5432/app?pool_max_conns=12&pool_max_conn_idle_time=5m")
	if err != nil {
		panic(err)
	}
	defer pool.Close()
}
