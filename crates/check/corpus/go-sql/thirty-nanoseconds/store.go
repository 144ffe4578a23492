package store

import (
	"database/sql"
	"os"

	_ "github.com/lib/pq"
)

func Open() (*sql.DB, error) {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	db.SetConnMaxLifetime(30)
	db.SetConnMaxIdleTime(300)
	return db, nil
}
