module example.com/x

go 1.23

require (
	github.com/jackc/pgx/v4 v4.18.3
	github.com/redis/go-redis/v9 v9.7.0
)
