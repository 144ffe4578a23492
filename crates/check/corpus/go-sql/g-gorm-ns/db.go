package db

import (
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

func Open(dsn string) (*gorm.DB, error) {
	g, err := gorm.Open(postgres.Open(dsn), &gorm.Config{})
	if err != nil {
		return nil, err
	}
	raw, _ := g.DB()
	raw.SetMaxOpenConns(25)
	raw.SetConnMaxIdleTime(60)
	return g, nil
}
