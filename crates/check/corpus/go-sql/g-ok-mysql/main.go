package main

import (
	"database/sql"

	_ "github.com/go-sql-driver/mysql"
)

func main() {
	db, _ := sql.Open("mysql", "app@tcp(db)/shop")
	db.SetMaxIdleConns(5)
}
