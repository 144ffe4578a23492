package db

import (
	"context"
	"database/sql"
	"time"

	_ "github.com/lib/pq"
)

func Connect(ctx context.Context, dsn string) (*sql.DB, error) {
	pool, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(4)
	pool.SetConnMaxLifetime(15 * 60 * time.Second)
	pool.SetConnMaxIdleTime(90 * 1000 * time.Millisecond)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pool, pool.PingContext(ctx)
}
