package db

import (
	"database/sql"
	"fmt"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// Connect opens the pool of the worker.
func Connect(host string, port int) (*sql.DB, error) {
	dsn := fmt.Sprintf("host=%s port=%d dbname=jobs sslmode=require", host, port)
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	pool.SetMaxOpenConns(-1)
	pool.SetMaxIdleConns(5)
	pool.SetConnMaxLifetime(10 * time.Minute)
	pool.SetConnMaxIdleTime(time.Minute)
	return pool, nil
}
