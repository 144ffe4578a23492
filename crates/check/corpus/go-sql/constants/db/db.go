package db

import (
	"database/sql"
	"time"

	_ "github.com/lib/pq"
)

const (
	maxOpen     = 12
	maxIdle     = 6
	maxLifetime = 20 * time.Minute
	maxIdleTime = 2 * time.Minute
)

func New(dsn string) (*sql.DB, error) {
	conn, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	conn.SetMaxOpenConns(maxOpen)
	conn.SetMaxIdleConns(maxIdle)
	conn.SetConnMaxLifetime(maxLifetime)
	conn.SetConnMaxIdleTime(maxIdleTime)
	return conn, nil
}
