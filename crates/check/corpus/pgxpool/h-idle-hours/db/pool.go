package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func New(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 20
	cfg.MaxConnLifetime = 24 * time.Hour
	cfg.MaxConnIdleTime = 6 * time.Hour
	return pgxpool.NewWithConfig(ctx, cfg)
}
