package db

import (
	"database/sql"
	"time"

	_ "github.com/lib/pq"
)

func Open(dsn string) (*sql.DB, error) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	db.SetConnMaxLifetime(time.Duration(1800) * time.Second)
	db.SetConnMaxIdleTime(90 * time.Second)
	return db, nil
}
