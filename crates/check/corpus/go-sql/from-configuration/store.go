package store

import (
	"database/sql"
	"time"
)

type Config struct {
	DSN         string        `env:"DATABASE_URL,required"`
	MaxOpen     int           `env:"DB_MAX_OPEN" envDefault:"20"`
	MaxIdleTime time.Duration `env:"DB_MAX_IDLE_TIME" envDefault:"4m"`
}

func Open(c Config) (*sql.DB, error) {
	db, err := sql.Open("pgx", c.DSN)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(c.MaxOpen)
	db.SetMaxIdleConns(c.MaxOpen)
	db.SetConnMaxIdleTime(c.MaxIdleTime)
	db.SetConnMaxLifetime(time.Hour)
	return db, nil
}
