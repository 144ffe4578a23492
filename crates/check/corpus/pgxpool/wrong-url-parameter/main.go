package main

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	pool, err := pgxpool.New(context.Background(), "postgres://catalog@db.internal:5432/catalog?sslmode=require&pool_max_connections=40")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
}
