package store

import (
	"database/sql"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// Pools are the writer and the reader.
type Pools struct {
	Write, Read *sql.DB
}

func tune(db *sql.DB, open int) *sql.DB {
	db.SetMaxOpenConns(open)
	db.SetMaxIdleConns(open)
	db.SetConnMaxLifetime(time.Hour)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

func Open(writeDSN, readDSN string) (Pools, error) {
	w, err := sql.Open("pgx", writeDSN)
	if err != nil {
		return Pools{}, err
	}
	r, err := sql.Open("pgx", readDSN)
	if err != nil {
		return Pools{}, err
	}
	return Pools{Write: tune(w, 10), Read: tune(r, 20)}, nil
}
