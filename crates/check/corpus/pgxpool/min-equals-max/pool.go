package pg

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const poolSize int32 = 16

func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = poolSize
	cfg.MinConns = poolSize // fixed size, no churn
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetime = time.Hour
	return pgxpool.NewWithConfig(ctx, cfg)
}
