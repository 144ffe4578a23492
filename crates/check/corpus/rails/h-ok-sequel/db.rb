require "sequel"
DB = Sequel.connect(ENV["DATABASE_URL"], max_connections: 10, pool_timeout: 5)
DB.extension :connection_validator
