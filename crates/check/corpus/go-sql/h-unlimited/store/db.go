package main

import (
	"database/sql"
	"os"
	"time"

	_ "github.com/lib/pq"
)

func open() (*sql.DB, error) {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(10)
	db.SetConnMaxLifetime(30 * time.Minute)
	return db, nil
}

var _ = time.Second
