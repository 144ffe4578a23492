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
	db.SetMaxIdleConns(10)
	return db, db.Ping()
}
