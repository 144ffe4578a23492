package main

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	pool, err := pgxpool.New(context.Background(), "postgres://geo@db.internal/geo?pool_min_conns=20&pool_max_conns=5&pool_max_conn_idle_time=5m")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
}
