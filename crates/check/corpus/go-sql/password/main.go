package main

import (
	"database/sql"
	"log"
	"time"

	_ "github.com/lib/pq"
)

const dsn = "postgres://geo:Basalt-31-reed@geo-db.internal:5432/geo?sslmode=require"

func main() {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	db.SetConnMaxLifetime(30 * time.Minute)
	db.SetConnMaxIdleTime(5 * time.Minute)
}
